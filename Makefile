# SPDX-License-Identifier: Apache-2.0
#
#   make          build/ngx_http_opensandbox_module.so, build/egress-sidecar,
#                 build/opensandbox-discovery
#   make demo     the main job on real traffic, for a newcomer
#   make test     everything: unit tests, then system tests; with SAN=1, under
#                 AddressSanitizer and UndefinedBehaviorSanitizer
#   make check    layout, clang-tidy, cppcheck, -fanalyzer, unit tests, a million
#                 random policies
#   make fuzz     TIME=10: libFuzzer on what reads bytes from outside
#   make soak     TIME=600: both programs under mixed load; memory, descriptors
#   make faults   TIME=120: kills at random moments for that long
#   make test-kubernetes
#                 discovery on Kubernetes' own server of custom resources, which
#                 is built first, once; conf/kubernetes and conf/helm held to the
#                 API's schemas: t/kubernetes
#   make test-clients
#                 browsers, runtimes, package managers through the name gate:
#                 t/clients
#   make test-observability
#                 alerts and dashboard with Prometheus' own tools, and Prometheus
#                 on the running programs: t/observability
#   make test-examples
#                 the examples, each with a browser's proof: t/examples_*.t
#   make images   container images of all three programs, in podman's storage
#   make test-images
#                 builds and runs these, replaces them under traffic: t/images
#   make bench    ratios against peers, measured in one run; bench-ingress,
#                 bench-egress and bench-discovery: one program's alone;
#                 bench-sizing: memory and processor by number of sandboxes
#   make man      build/man: manual pages; make completion: build/completion
#   make install  DESTDIR= PREFIX=/usr
#   make deb      build/deb: Debian's packages of the three
#   make test-package
#                 installed, upgraded under traffic, removed and purged in a
#                 Debian of their own: t/package
#
# NGINX=FOLDER builds for, and tests with, an nginx unpacked in FOLDER
# (FOLDER/usr/sbin/nginx and FOLDER/usr/share/nginx/src) instead of the system's,
# in build/FOLDER's name. scripts/fetch-nginx SUITE FOLDER unpacks one.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:

B        := build
CC       ?= cc
ifeq ($(origin CC),default)
CC       := gcc
endif
NGINX    ?=
DESTDIR  ?=
PREFIX   ?= /usr

# How many system tests run side by side; most of them wait most of the time.
JOBS     ?= $(shell nproc)
TESTS    ?= $(filter-out $(wildcard t/examples*.t),$(wildcard t/*.t))

ifneq ($(NGINX),)
B        := build/$(notdir $(abspath $(NGINX)))
endif

# SAN=1 builds the programs and the unit tests under AddressSanitizer and
# UndefinedBehaviorSanitizer, in a folder of their own.
SAN      ?=
ifneq ($(SAN),)
B        := $(B)/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
            -fno-omit-frame-pointer
endif

# "make WERROR=" for a compiler that warns of more than Debian 12's does.
WERROR   ?= -Werror
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla $(WERROR)
CFLAGS   ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
            -fstack-clash-protection
ALL_CFLAGS := -std=c17 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(SANFLAGS) \
            $(if $(SAN),-fPIE,$(HARDEN)) -MMD -MP -Iegress-sidecar -Idiscovery \
            -Icommon
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) $(SANFLAGS)

# V=1 shows whole commands.
V        ?=
ifeq ($(V),)
QUIET_CC  = @echo "  CC  $<";
QUIET_LD  = @echo "  LD  $@";
endif

.PHONY: all
all:

include ngx_opensandbox_module/build.mk
include egress-sidecar/build.mk
include discovery/build.mk
include t/unit/build.mk
include t/fuzz/build.mk
include t/tools/build.mk
include t/bench/build.mk
include docs/man/build.mk

all: $(MODULE) $(SIDECAR) $(DISCOVERY)

.PHONY: deps test demo check bench bench-ingress bench-egress install clean
.PHONY: format unit system soak faults test-kubernetes test-clients bench-discovery

deps:
	@scripts/install-deps

# The tools that build this may be missing until deps has run, so the
# build is a make of its own.
test: deps
	@$(MAKE) --no-print-directory all unit
	@$(MAKE) --no-print-directory system

demo:
	@scripts/install-deps demo
	@$(MAKE) -q all 2>/dev/null || echo "building; it may take minutes"
	@$(MAKE) --no-print-directory -s -j"$$(nproc)" all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) scripts/demo

unit: $(UNIT_TESTS)
	@set -e; for test in $(UNIT_TESTS); do echo "== $$test"; ./$$test; done

system: all fuzzers $(TOOLS)
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) prove --timer -j $(JOBS) -It/lib $(TESTS)

check: deps
	@$(MAKE) --no-print-directory all unit
	@BUILD=$(B) scripts/check

soak: deps
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    scripts/soak $(if $(filter file,$(origin TIME)),600,$(TIME))

faults: deps
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    FAULTS_TIME=$(if $(filter file,$(origin TIME)),120,$(TIME)) \
	    prove --timer -It/lib t/faults_*.t

test-kubernetes: deps
	@$(MAKE) --no-print-directory all
	@t/kubernetes/build.sh build/kubernetes
	@t/kubernetes/tools/install.sh build/kubernetes/tools
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    prove --timer -It/lib t/kubernetes/*.t

test-clients: deps
	@scripts/install-deps clients
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) prove --timer -It/lib t/clients/*.t

.PHONY: test-observability bench-sizing
test-observability: deps
	@scripts/install-deps observability
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    prove --timer -It/lib t/observability/*.t

bench-sizing: deps
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) scripts/bench t/bench/sizing

# Each example installs what only it needs.
.PHONY: test-examples
test-examples: deps
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) \
	    prove --timer -It/lib t/examples_*.t

.PHONY: images test-images
images:
	@scripts/install-deps images
	@scripts/images

test-images: deps
	@$(MAKE) --no-print-directory all $(TOOLS) images
	@BUILD=$(abspath $(B)) prove --timer -It/lib t/images/*.t

bench: deps
	@$(MAKE) --no-print-directory all bench-tools
	@BUILD=$(abspath $(B)) scripts/bench

bench-egress: deps
	@$(MAKE) --no-print-directory $(SIDECAR) bench-tools
	@BUILD=$(abspath $(B)) scripts/bench t/bench/egress t/bench/egress_path \
	    t/bench/egress_gate

.PHONY: bench-tools
bench-tools: $(BENCH_TOOLS)

bench-ingress: deps
	@$(MAKE) --no-print-directory $(MODULE) bench-tools
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) scripts/bench t/bench/ingress \
	    t/bench/ingress_bulk

bench-discovery: deps
	@$(MAKE) --no-print-directory $(MODULE) $(DISCOVERY)
	@BUILD=$(abspath $(B)) NGINX=$(abspath $(NGINX)) scripts/bench t/bench/discovery

format:
	@git ls-files -co --exclude-standard '*.c' '*.h' ':!t/unit/route_test.c' ':!t/unit/trace_test.c' | \
	    xargs -r clang-format -i
	@clang-format -i --style=file:ngx_opensandbox_module/.clang-format \
	    t/unit/route_test.c t/unit/trace_test.c

SHARE    := $(DESTDIR)$(PREFIX)/share

install: all man completion
	install -d $(DESTDIR)$(PREFIX)/lib/nginx/modules $(DESTDIR)$(PREFIX)/sbin \
	    $(SHARE)/opensandbox $(SHARE)/man/man5 $(SHARE)/man/man7 \
	    $(SHARE)/man/man8 $(SHARE)/bash-completion/completions \
	    $(SHARE)/zsh/vendor-completions
	install -m 644 $(MODULE) $(DESTDIR)$(PREFIX)/lib/nginx/modules/
	install -m 755 $(SIDECAR) $(DISCOVERY) $(DESTDIR)$(PREFIX)/sbin/
	cp -r conf $(SHARE)/opensandbox/
	chmod -R u=rwX,go=rX $(SHARE)/opensandbox/conf
	for section in 5 7 8; do \
	    install -m 644 $(B)/man/*.$$section \
	        $(SHARE)/man/man$$section/; done
	install -m 644 $(filter-out $(B)/completion/_%,$(COMPLETION)) \
	    $(SHARE)/bash-completion/completions/
	install -m 644 $(filter $(B)/completion/_%,$(COMPLETION)) \
	    $(SHARE)/zsh/vendor-completions/

.PHONY: deb test-package
deb:
	@scripts/install-deps packages
	@scripts/deb

test-package: deb
	@prove --timer -It/lib t/package/*.t

clean:
	rm -rf build
