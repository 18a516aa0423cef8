#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
#     the EC2 API's model --> answers as `aws ec2 describe-...` prints them --> mirrorsink --check
#     (python3-botocore)                                                              |
#                                          what is understood of them <-- canonical form
#
# Answers about filters, rules, sessions, targets, interfaces and VPCs, with every member that the
# model has, with those alone that must be there, and with some missing or null.
#
# Succeeds if
#  - all that mirrorsink understands is in the model still, under its name;
#  - every member and every value of an enumeration occurred, and all answers are accepted;
#  - the canonical form has what is to be understood of them, and nothing else.
#
# VARIANTS=N   how many random ones (100)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$python" -c 'import botocore' 2>/dev/null || skip "no python3-botocore here"
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $seed"
"$python" "$here/aws_model.py" "$MIRRORSINK" "$work" "$seed" "${VARIANTS:-100}"
