"""Runs the FinOps Foundation's validator over a file with every criterion, and prints which rules fail as JSON.

validate.py FILE
"""

import json
import logging
import os
import sys

import focus_validator
from focus_validator.validator import Validator

logging.disable(logging.CRITICAL)

file = os.path.abspath(sys.argv[1])
# It looks for its list of currencies below the folder it is started in.
os.chdir(os.path.dirname(os.path.dirname(focus_validator.__file__)))
validator = Validator(
    data_filename=file,
    output_destination=None,
    output_type="console",
    rules_version="1.2",
    # Only the model of 1.2 comes with the package; nothing is fetched.
    rules_block_remote_download=True,
    focus_dataset="CostAndUsage",
    applicability_criteria="ALL",
)
validator.load()
results = validator.spec_rules.validate(validator.focus_data)
failed = {rule for rule, result in results.by_rule_id.items() if not result.get("ok")}


def parts(requirement):
    """The rules a rule is made of."""
    if isinstance(requirement, dict):
        if requirement.get("CheckFunction") == "CheckModelRule":
            yield requirement["ModelRuleId"]
        for value in requirement.values():
            yield from parts(value)
    elif isinstance(requirement, list):
        for value in requirement:
            yield from parts(value)


# A rule that is made of others fails with any of them; what counts is which of the simple ones fail.
with open(os.path.join(os.path.dirname(focus_validator.__file__), "rules/model-1.2.json")) as model:
    rules = json.load(model)["ModelRules"]
made_of = {rule: set(parts(rules[rule]["ValidationCriteria"]["Requirement"])) for rule in failed if rule in rules}
simple = {rule for rule in failed if not made_of.get(rule, set()) & failed}
print(
    json.dumps(
        {
            "passed": len(results.by_rule_id) - len(failed),
            "failed": sorted(simple),
            "with_them": sorted(failed - simple),
            "why": {rule: str(results.by_rule_id[rule].get("details", {}).get("message"))[:300] for rule in sorted(simple)},
        }
    )
)
