# SPDX-License-Identifier: Apache-2.0
#
# Each t/unit/NAME_test.c is one cmocka program, linked with the sidecar's
# archive, or with discovery's if it is called discovery_NAME_test.c. t/model is
# what policies mean, for all that check them. A test of the module's pure rooms
# names their objects itself, in ngx_opensandbox_module/build.mk.

UNIT_SRC   := $(sort $(wildcard t/unit/*_test.c))
UNIT_TESTS := $(UNIT_SRC:%.c=$(B)/%)

MODEL_SRC  := $(wildcard t/model/*.c)
MODEL_OBJ  := $(MODEL_SRC:%.c=$(B)/%.o)

$(B)/t/unit/%.o: t/unit/%.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -It -c $< -o $@

$(B)/t/model/%.o: t/model/%.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -It -c $< -o $@

$(B)/t/unit/policy_model_test: $(MODEL_OBJ)
$(B)/t/unit/policy_nat64_test: $(MODEL_OBJ)

$(B)/t/unit/discovery_%_test: $(B)/t/unit/discovery_%_test.o $(DISCOVERY_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(DISCOVERY_LIBS) -lcmocka

$(B)/t/unit/%_test: $(B)/t/unit/%_test.o $(SIDECAR_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(sort $(SIDECAR_LIBS) $(DISCOVERY_LIBS)) -lcmocka

.SECONDARY: $(UNIT_SRC:%.c=$(B)/%.o)
-include $(UNIT_SRC:%.c=$(B)/%.d) $(MODEL_OBJ:.o=.d)
