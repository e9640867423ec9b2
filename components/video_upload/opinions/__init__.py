"""Second opinions: budgets, the call on a kept connection, the answer in the edge's words."""
