# SPDX-License-Identifier: Apache-2.0
#
# Each t/bench/NAME.c is a small program that a bench starts; it stands alone.

BENCH_SRC   := $(sort $(wildcard t/bench/*.c))
BENCH_TOOLS := $(BENCH_SRC:%.c=$(B)/%)

$(BENCH_TOOLS): $(B)/%: %.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(BENCH_LIBS)

$(B)/t/bench/gate_load: BENCH_LIBS := -lssl -lcrypto

-include $(BENCH_SRC:%.c=$(B)/%.d)
