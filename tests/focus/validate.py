"""Runs the FinOps Foundation's validator over a file with every criterion, and prints which rules fail as JSON.

validate.py FILE
"""

import json
import logging
import sys

from focus_validator.validator import Validator

logging.disable(logging.CRITICAL)

validator = Validator(
    data_filename=sys.argv[1],
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
failed, passed = [], 0
for rule, result in results.by_rule_id.items():
    if result.get("ok"):
        passed += 1
    else:
        failed.append(rule)
# A rule made of others fails with each of them; what counts is which of the simple ones fail.
composite = {rule for rule in failed if "Items" in json.dumps(results.by_rule_id[rule].get("details", {}).get("children", "")) or results.by_rule_id[rule].get("details", {}).get("children")}
print(json.dumps({"passed": passed, "failed": sorted(set(failed) - composite), "composite": sorted(composite)}))
