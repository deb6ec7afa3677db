"""How every route speaks: guards, problem documents, idempotency, pages, and the shape of a hot route."""
