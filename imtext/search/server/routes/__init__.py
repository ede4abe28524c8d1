"""The routes, one file per group. Each file creates an `APIRouter` for a `Service`."""
