"""An index as tools for agents, by the Model Context Protocol. `imtext mcp` runs it."""

from imtext.errors import needs

with needs("mcp"):
    import mcp as _mcp  # noqa: F401  first, so that a missing package names this extra and not that of the server

    from imtext.search.agents.run import serve_http, serve_stdio

__all__ = ["serve_http", "serve_stdio"]
