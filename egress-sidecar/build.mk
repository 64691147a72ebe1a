# SPDX-License-Identifier: Apache-2.0
#
# Every .c below egress-sidecar/ and common/ is part of the program; all of it
# but main.c is also an archive, which the unit tests and the fuzzers link.

SIDECAR      := $(B)/egress-sidecar
SIDECAR_LIB  := $(B)/libegress.a
SIDECAR_SRC  := $(sort $(wildcard egress-sidecar/*.c egress-sidecar/*/*.c \
                  common/*/*.c))
SIDECAR_OBJ  := $(SIDECAR_SRC:%.c=$(B)/obj/%.o)
SIDECAR_LIBS := -lldns -ljansson -lmnl -lnftnl -luv -lmicrohttpd -lcurl \
                -lcap-ng -lseccomp -lpsl

# The gate reads HTTP/2 in clear where the library is there; else it refuses it.
NGHTTP2      := $(shell pkg-config --exists libnghttp2 2>/dev/null && echo yes)
ifneq ($(NGHTTP2),)
SIDECAR_LIBS += -lnghttp2
ALL_CFLAGS   += -DWITH_NGHTTP2
endif

$(SIDECAR_OBJ): $(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(SIDECAR_LIB): $(filter-out $(B)/obj/egress-sidecar/main.o,$(SIDECAR_OBJ))
	@rm -f $@
	@$(AR) rcs $@ $^

$(SIDECAR): $(B)/obj/egress-sidecar/main.o $(SIDECAR_LIB)
	$(QUIET_LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(SIDECAR_LIBS)

-include $(SIDECAR_OBJ:.o=.d)
