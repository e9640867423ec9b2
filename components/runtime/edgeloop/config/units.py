"""Units (UCUM)."""


def meant(text: str) -> str | None:
    return {"°C": "Cel", "bar": "bar", "C": "Cel"}.get(text)
