# SPDX-License-Identifier: Apache-2.0
#
# Each t/tools/NAME.c is a program that system tests start.

TOOLS_SRC := $(sort $(wildcard t/tools/*.c))
TOOLS     := $(TOOLS_SRC:%.c=$(B)/%)

$(B)/t/tools/%.o: t/tools/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(TOOLS): $(B)/t/tools/%: $(B)/t/tools/%.o $(SIDECAR_LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(SIDECAR_LIB) $(SIDECAR_LIBS)

.SECONDARY: $(TOOLS_SRC:%.c=$(B)/%.o)
-include $(TOOLS_SRC:%.c=$(B)/%.d)
