# SPDX-License-Identifier: Apache-2.0
print("hello from a sandbox")
