# SPDX-License-Identifier: Apache-2.0
#
# Each t/tools/NAME.c is a program that system tests start.

TOOLS_SRC := $(sort $(wildcard t/tools/*.c))
TOOLS     := $(TOOLS_SRC:%.c=$(B)/%)

$(B)/t/tools/%.o: t/tools/%.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -It -c $< -o $@

$(B)/t/tools/discovery_%: $(B)/t/tools/discovery_%.o $(DISCOVERY_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(DISCOVERY_LIBS)

$(B)/t/tools/%: $(B)/t/tools/%.o $(SIDECAR_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(sort $(SIDECAR_LIBS) $(DISCOVERY_LIBS))

$(B)/t/tools/egress_model: $(MODEL_OBJ)

.SECONDARY: $(TOOLS_SRC:%.c=$(B)/%.o)
-include $(TOOLS_SRC:%.c=$(B)/%.d)
