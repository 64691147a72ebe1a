# SPDX-License-Identifier: Apache-2.0
#
# Every .c below discovery/ is part of opensandbox-discovery; all of it but
# main.c is also an archive, with what is common, which the unit tests link.

DISCOVERY      := $(B)/opensandbox-discovery
DISCOVERY_LIB  := $(B)/libdiscovery.a
DISCOVERY_SRC  := $(sort $(wildcard discovery/*.c discovery/*/*.c))
DISCOVERY_OBJ  := $(DISCOVERY_SRC:%.c=$(B)/obj/%.o)
COMMON_SRC     := $(sort $(wildcard common/*/*.c))
COMMON_OBJ     := $(COMMON_SRC:%.c=$(B)/obj/%.o)
DISCOVERY_LIBS := -ljansson -luv -lmicrohttpd -lcurl -lcap-ng -lseccomp -lyaml \
                  -lgnutls

$(DISCOVERY_OBJ): $(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(DISCOVERY_LIB): $(filter-out $(B)/obj/discovery/main.o,$(DISCOVERY_OBJ)) \
                  $(COMMON_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(DISCOVERY): $(B)/obj/discovery/main.o $(DISCOVERY_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DISCOVERY_LIBS)

-include $(DISCOVERY_OBJ:.o=.d)
