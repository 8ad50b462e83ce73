/** What became of a request: it was done, it was refused, or nobody knows. */
import { t } from "./i18n.js";

const UNKNOWN = "/problems/outcome-unknown";

/** Say whether a change that failed so may have been made all the same. */
const mayBeDone = ({ status, type }) => status === 0 || (status >= 500 && status !== 503) || type === UNKNOWN;

export default {
  /**
   * Return the key under which the server does this request once, however often it is made.
   *
   * `last` is what this returned before: its key is kept until something else is asked for.
   */
  keyed(last, ...request) {
    const text = JSON.stringify(request);
    return last?.text === text ? last : { text, key: this.newKey() };
  },

  /**
   * Do something that may be refused; say so if it is. Returns whether it was done.
   *
   * `unknown` is given for changes: the text for when nobody knows whether it was made.
   */
  async attempt(act, unknown) {
    try {
      await act();
      return true;
    } catch (error) {
      this.toast(this.reason(error, unknown));
      return false;
    }
  },

  /** Make a change for the open dialog, which says how it went. Returns whether it was made. */
  async inDialog(act, unknown = "error_unknown") {
    this.amend({ busy: true, error: null, done: null });
    try {
      this.amend({ busy: false, done: await act() });
      return true;
    } catch (error) {
      this.amend({ busy: false, error: this.reason(error, unknown) });
      return false;
    }
  },

  reason(error, unknown) {
    if (error?.type === UNKNOWN || (unknown && error && mayBeDone(error))) return t(unknown ?? "error_unknown");
    if (error?.status === 0) return t("error_network");
    if (error?.status === 429) return t("error_many");
    if (error?.status >= 500) return t("error_unavailable");
    return t("error_other", { detail: error?.errors?.[0]?.detail ?? error?.detail ?? error?.message ?? String(error) });
  },
};
