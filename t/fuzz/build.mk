# SPDX-License-Identifier: Apache-2.0
#
# Each t/fuzz/NAME_fuzz.c is one libFuzzer target, built by clang under
# AddressSanitizer and UndefinedBehaviorSanitizer from the real sources: those
# of the daemons are programs; ngx_NAME_fuzz.c are dynamic modules that fuzz the
# gateway's sources inside an nginx (ngx_host.h). t/fuzz/NAME.dict are a
# target's words, t/fuzz/corpus/NAME its seeds and every input that once broke
# it.
#
#   make fuzz TIME=60    each that many seconds; FUZZERS='policy' only some
#
# t/fuzz.t runs the seeds alone, and a few seconds more.

FUZZ_CC    ?= clang
TIME       ?= 10
FUZZERS    ?= $(patsubst t/fuzz/%_fuzz.c,%,$(sort $(wildcard t/fuzz/*_fuzz.c)))
FUZZ_SAN   := -fsanitize=address,undefined -fno-sanitize-recover=all \
              -fprofile-instr-generate -fcoverage-mapping
FUZZ_FLAGS := -Wall -Werror -D_GNU_SOURCE -O1 -g -fPIC -Iegress-sidecar \
              -Idiscovery -Icommon -It -MMD -MP -fno-omit-frame-pointer \
              $(FUZZ_SAN)
FUZZ_B     := $(B)/fuzz
FUZZ_LIB   := $(FUZZ_B)/libegress.a
FUZZ_DISCOVERY_LIB := $(FUZZ_B)/libdiscovery.a
FUZZ_OF     = $(patsubst %.c,$(FUZZ_B)/%.o,$(filter-out %/main.c,$(1)))
FUZZ_OBJ   := $(call FUZZ_OF,$(SIDECAR_SRC) $(DISCOVERY_SRC) t/model/ranges.c)
FUZZ_NGX_OBJ := $(patsubst %.c,$(FUZZ_B)/%.o,$(MODULE_SRC) t/fuzz/ngx_host.c)
FUZZ_PROGRAMS := $(patsubst %,$(FUZZ_B)/%_fuzz,$(filter-out ngx_%,$(FUZZERS)))
FUZZ_MODULES  := $(patsubst %,$(FUZZ_B)/%_fuzz.so,$(filter ngx_%,$(FUZZERS)))

$(FUZZ_OBJ): $(FUZZ_B)/%.o: %.c
	@mkdir -p $(@D)
	$(QUIET_CC)$(FUZZ_CC) -std=c17 $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link \
	    -c $< -o $@

$(FUZZ_LIB): $(call FUZZ_OF,$(SIDECAR_SRC) t/model/ranges.c)
$(FUZZ_DISCOVERY_LIB): $(call FUZZ_OF,$(DISCOVERY_SRC) $(COMMON_SRC))
$(FUZZ_LIB) $(FUZZ_DISCOVERY_LIB):
	@rm -f $@
	@$(AR) rcs $@ $^

$(filter $(FUZZ_B)/discovery_%,$(FUZZ_PROGRAMS)): $(FUZZ_DISCOVERY_LIB)
$(filter-out $(FUZZ_B)/discovery_%,$(FUZZ_PROGRAMS)): $(FUZZ_LIB)
$(FUZZ_PROGRAMS): $(FUZZ_B)/%_fuzz: t/fuzz/%_fuzz.c
	$(QUIET_LD)$(FUZZ_CC) -std=c17 $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< \
	    $(filter %.a,$^) $(sort $(SIDECAR_LIBS) $(DISCOVERY_LIBS))

# The runtime is shared, since nginx itself has none: see scripts/fuzz. It has
# empty functions for coverage, which must not come before libFuzzer's.
FUZZ_NGX_FLAGS = -I$(MODULE_DIR) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link \
    $(foreach dir,core event event/modules event/quic os/unix http http/modules \
      http/v2 http/v3,\
      -isystem $(NGINX_TREE)/src/$(dir)) -isystem $(NGINX_TREE)/objs

$(FUZZ_NGX_OBJ): $(FUZZ_B)/%.o: %.c | $(NGINX_TREE)/objs/Makefile
	@mkdir -p $(@D)
	$(QUIET_CC)$(FUZZ_CC) $(FUZZ_NGX_FLAGS) -c $< -o $@

$(FUZZ_MODULES:.so=.o): $(FUZZ_B)/%.o: t/fuzz/%.c | $(NGINX_TREE)/objs/Makefile
	$(QUIET_CC)$(FUZZ_CC) $(FUZZ_NGX_FLAGS) -c $< -o $@

$(FUZZ_MODULES): %.so: %.o $(FUZZ_NGX_OBJ) $(FUZZ_LIB)
	$(QUIET_LD)$(FUZZ_CC) -shared -shared-libasan $(FUZZ_SAN) \
	    -Wl,-Bsymbolic -o $@ $^ \
	    "$$($(FUZZ_CC) \
	        -print-file-name=libclang_rt.fuzzer_no_main-$$(uname -m).a)" \
	    -ljansson -lcrypto -lstdc++ -lm

.PHONY: fuzz fuzzers
fuzzers: | $(NGINX_TREE)/objs/Makefile
	@$(MAKE) --no-print-directory $(FUZZ_PROGRAMS) $(FUZZ_MODULES)

fuzz: deps fuzzers
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    scripts/fuzz $(TIME) $(FUZZERS)

-include $(FUZZ_OBJ:.o=.d) $(FUZZ_NGX_OBJ:.o=.d)
-include $(FUZZ_PROGRAMS:=.d) $(FUZZ_MODULES:.so=.d)
