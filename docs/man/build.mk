# SPDX-License-Identifier: Apache-2.0
#
# Manual pages and shell completion, made of what the programs say themselves.

MANUAL     := $(patsubst docs/man/%.in,$(B)/man/%,$(sort $(wildcard docs/man/*.in)))
COMPLETION := $(foreach program,egress-sidecar opensandbox-discovery, \
    $(B)/completion/$(program) $(B)/completion/_$(program))

$(MANUAL): $(B)/man/%: docs/man/%.in scripts/manual scripts/Help.pm \
    docs/directives.md docs/policy.md common/version.h CHANGELOG.md \
    $(SIDECAR) $(DISCOVERY)
	@mkdir -p $(@D)
	@BUILD=$(B) scripts/manual $< >$@

$(COMPLETION): scripts/completion scripts/Help.pm $(SIDECAR) $(DISCOVERY)
	@mkdir -p $(@D)
	@BUILD=$(B) scripts/completion $(if $(filter _%,$(@F)),zsh,bash) \
	    $(patsubst _%,%,$(@F)) >$@

.PHONY: man completion
man: $(MANUAL)
completion: $(COMPLETION)
