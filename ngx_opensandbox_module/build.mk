# SPDX-License-Identifier: Apache-2.0
#
# The module is built by nginx's own configure, in a private copy of the tree
# that nginx-dev installs, with the flags that the nginx at hand reports. The
# pure rooms are also compiled on their own, for their unit tests.

MODULE       := $(B)/ngx_http_opensandbox_module.so
MODULE_DIR   := ngx_opensandbox_module
MODULE_SRC   := $(sort $(wildcard $(MODULE_DIR)/*.c $(MODULE_DIR)/*/*.c))
MODULE_DEPS  := $(MODULE_SRC) $(wildcard $(MODULE_DIR)/*.h $(MODULE_DIR)/*/*.h) \
    $(MODULE_DIR)/symbols.map common/version.h $(wildcard common/policy/*.[ch])
MODULE_PAGE  := $(wildcard conf/page/*)
NGINX_BIN    := $(NGINX)/usr/sbin/nginx
NGINX_SRC    := $(NGINX)/usr/share/nginx/src
NGINX_TREE   := $(B)/nginx
NGINX_CC_OPT := $(CFLAGS) -fPIC $(if $(SAN),$(SANFLAGS),-fstack-protector-strong -D_FORTIFY_SOURCE=2)
NGINX_LD_OPT := -Wl,-z,relro -Wl,-z,now $(SANFLAGS)

# nginx's Makefile names each file: anew when one has come or gone.
NGINX_KNOWS  := $(file <$(NGINX_TREE)/sources)
NGINX_STALE  := $(filter-out $(NGINX_KNOWS),$(MODULE_DEPS)) \
    $(filter-out $(MODULE_DEPS),$(NGINX_KNOWS))

$(NGINX_TREE)/objs/Makefile: $(MODULE_DIR)/config $(MODULE_DIR)/build.mk \
    $(MODULE_DIR)/configure-nginx $(wildcard $(NGINX_BIN)) $(MODULE_PAGE) \
    $(if $(strip $(NGINX_STALE)),FORCE)
	@rm -rf $(NGINX_TREE)
	@mkdir -p $(B)
	@cp -r $(NGINX_SRC) $(NGINX_TREE)
	@$(MODULE_DIR)/configure-nginx $(NGINX_BIN) $(NGINX_TREE) \
	    $(abspath $(MODULE_DIR)) '$(CC)' '$(NGINX_CC_OPT)' '$(NGINX_LD_OPT)'
	@echo $(MODULE_DEPS) >$(NGINX_TREE)/sources

$(MODULE): $(MODULE_DEPS) $(NGINX_TREE)/objs/Makefile
	@$(MAKE) --no-print-directory -C $(NGINX_TREE) -f objs/Makefile modules
	@cp $(NGINX_TREE)/objs/ngx_http_opensandbox_module.so $@

.PHONY: FORCE
FORCE:

ROUTE_CFLAGS := $(filter-out -Iegress-sidecar -Icommon,$(ALL_CFLAGS)) -I$(MODULE_DIR) \
    $(foreach dir,core event event/quic os/unix,-isystem $(NGINX_TREE)/src/$(dir)) \
    -isystem $(NGINX_TREE)/objs

$(B)/$(MODULE_DIR)/%.o: $(MODULE_DIR)/%.c | $(NGINX_TREE)/objs/Makefile
	@mkdir -p $(@D)
	$(CC) $(ROUTE_CFLAGS) -c $< -o $@

MODULE_UNITS := route trace

$(MODULE_UNITS:%=$(B)/t/unit/%_test.o): $(B)/t/unit/%_test.o: t/unit/%_test.c \
    | $(NGINX_TREE)/objs/Makefile
	@mkdir -p $(@D)
	$(CC) $(ROUTE_CFLAGS) -c $< -o $@

$(B)/t/unit/route_test: $(B)/$(MODULE_DIR)/route/route.o
$(B)/t/unit/trace_test: $(B)/$(MODULE_DIR)/trace/parent.o

$(MODULE_UNITS:%=$(B)/t/unit/%_test): $(B)/t/unit/%_test: $(B)/t/unit/%_test.o
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka

-include $(B)/$(MODULE_DIR)/route/route.d $(B)/$(MODULE_DIR)/trace/parent.d
