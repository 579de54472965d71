"""Log lines of our processes: one format, on standard error."""

import logging


def set_up_logging() -> None:
    """Log from INFO up; urllib3's own account of each retry is left out, since we tell the end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
