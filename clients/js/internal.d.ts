/** Shapes inside the client, for those who change it. Not part of the package. */

import type { ChatError, ClientEvent } from "./chat4all.d.ts";

/** An access token: when to renew it, and until when it is used without waiting for the next. */
export interface Access {
  access_token: string;
  renew_at: number;
  ends_at?: number;
}

/** How a request is made. */
export interface How {
  json?: object;
  form?: Record<string, string>;
  /** Its `Idempotency-Key`. */
  key?: string;
  /** Without a token. */
  open?: boolean;
  /** A status which says of a repetition that it was done before. */
  done?: number;
  /** At most so many. */
  tries?: number;
  /** Until there is an answer. */
  forever?: boolean;
}

/** How far a conversation was received: everything up to `seq` and `change`. */
export interface Reached {
  seq: number;
  change: number;
  /** The newest message that was told, beyond `seq` after a reload. */
  told: number;
  /** How often the server has shown that a message is missing. */
  gaps: number;
  /** The position as it came. */
  text: string;
  /** What was read by a reload, from one `seq` to another, each with its change. */
  pages: { from: number; to: number; change: number }[];
}

/** What waits to be taken: an event, or none where only a position moves. */
export interface Item {
  event: ClientEvent | null;
  conversation_id?: string;
  /** Null: there is none any more. */
  position?: string | null;
  generation?: string | null;
}

/** How a connection ended. */
export interface End {
  code: number;
  reason: string;
  /** Seconds. */
  retry_after?: number;
}

/** Who waits for the first `Connected`. */
export interface First {
  resolve: () => void;
  reject: (error: ChatError) => void;
}
