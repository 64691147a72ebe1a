# SPDX-License-Identifier: Apache-2.0
#
# Each t/fuzz/NAME_fuzz.c is one libFuzzer program, linked with the sidecar's
# own sources, built by clang under AddressSanitizer and
# UndefinedBehaviorSanitizer. t/fuzz/NAME.dict are its words,
# t/fuzz/corpus/NAME its seeds and every input that once broke it.
#
#   make fuzz TIME=60    each that many seconds; FUZZERS='policy' only some

FUZZ_CC    ?= clang
TIME       ?= 10
FUZZERS    ?= $(patsubst t/fuzz/%_fuzz.c,%,$(sort $(wildcard t/fuzz/*_fuzz.c)))
FUZZ_FLAGS := -std=c17 -D_GNU_SOURCE -O1 -g -Iegress-sidecar -MMD -MP \
              -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_B     := $(B)/fuzz
FUZZ_LIB   := $(FUZZ_B)/libegress.a
FUZZ_OBJ   := $(patsubst %.c,$(FUZZ_B)/%.o,\
                $(filter-out egress-sidecar/main.c,$(SIDECAR_SRC)))

$(FUZZ_B)/egress-sidecar/%.o: egress-sidecar/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined \
	    -c $< -o $@

$(FUZZ_LIB): $(FUZZ_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(FUZZ_B)/%_fuzz: t/fuzz/%_fuzz.c $(FUZZ_LIB)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< \
	    $(FUZZ_LIB) $(SIDECAR_LIBS)

.PHONY: fuzz
fuzz: deps
	@$(MAKE) --no-print-directory $(FUZZERS:%=$(FUZZ_B)/%_fuzz)
	@set -e; for name in $(FUZZERS); do \
	    echo "== $$name"; \
	    found=$(FUZZ_B)/corpus/$$name; seeds=t/fuzz/corpus/$$name; \
	    mkdir -p $$found $$seeds; \
	    words=t/fuzz/$$name.dict; set --; \
	    [ ! -e $$words ] || set -- -dict=$$words; \
	    $(FUZZ_B)/$${name}_fuzz "$$@" -max_total_time=$(TIME) \
	        -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=$(FUZZ_B)/$$name- $$found $$seeds; \
	done

-include $(FUZZ_OBJ:.o=.d) $(FUZZERS:%=$(FUZZ_B)/%_fuzz.d)
