"""Rules: what an alarm does. Advisory, never a safety function."""

from edgeloop.rules.rule import Action, Rule, Rules

__all__ = ["Action", "Rule", "Rules"]
