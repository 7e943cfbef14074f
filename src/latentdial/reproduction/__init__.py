"""Papers' tables and figures made again: protocols as data, and what runs them."""
