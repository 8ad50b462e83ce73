"""The page `/docs`, which loads nothing from other sites."""

import base64
import hashlib
import re

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi_offline import FastAPIOffline
from starlette.responses import HTMLResponse, RedirectResponse

from chat4all.http.openapi import problems_table
from chat4all.usecases.demonstrating import CHAT, PASSWORD, USERS

_DEMONSTRATION = (
    f"**To try it:** press *Authorize* and sign in as `{USERS[0]}` or `{USERS[1]}`, password "
    f"`{PASSWORD}` unless it was changed. These demonstration accounts share the conversation "
    f"`{CHAT}`."
)


def make_app(
    title: str,
    description: str,
    version: str,
    *,
    has_demonstration: bool = False,
    has_root: bool = False,
) -> tuple[FastAPI, dict[str, str]]:
    """Return an application whose `/docs` loads nothing from other sites, and that page's policy.

    The page begins with the description, the demonstration accounts where there are some, and a
    table of all problems. The policy (Content-Security-Policy) allows the scripts of this page and
    no others. `/` leads to it, unless the application `has_root`: a route of its own there.
    """
    parts = [description.strip(), problems_table()]
    if has_demonstration:
        parts.insert(0, _DEMONSTRATION)
    description = "\n\n".join(parts)
    app = FastAPIOffline(
        title=title, description=description, version=version, docs_url=None, redoc_url=None
    )
    static = "/static-offline-docs"
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url=f"{static}/swagger-ui-bundle.js",
        swagger_css_url=f"{static}/swagger-ui.css",
        swagger_favicon_url=f"{static}/favicon.png",
        # By default the page sends the description's address to a validation service.
        swagger_ui_parameters={"validatorUrl": None},
    )
    html = bytes(page.body)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(html)

    if not has_root:

        @app.get("/", include_in_schema=False)
        async def root() -> RedirectResponse:
            return RedirectResponse("/docs")

    scripts = re.findall(rb"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    policy = (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return app, {"/docs": policy}
