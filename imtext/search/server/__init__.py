"""The HTTP server of an index: an API and a page. `imtext serve` runs it; `create_app` is for other ASGI servers."""

from imtext.errors import needs

with needs("serve"):
    from imtext.search.server.app import create_app
    from imtext.search.server.limits import Limits
    from imtext.search.server.run import serve

__all__ = ["Limits", "create_app", "serve"]
