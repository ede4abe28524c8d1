"""The routes, one file a group; each makes an `APIRouter` over a `Service`."""
