/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_http_osb_answer_t ngx_http_osb_answers[] = {

    {ngx_string("ok"), 200, "", "", 0},

    {ngx_string("bad_route"), 400,
     "the request does not name a sandbox and a port",
     "Check the address: it must hold the id of a sandbox and a port.", 0},

    {ngx_string("unauthorized"), 401,
     "sandbox %V, port %ui, needs an access token",
     "Send the token in the header OpenSandbox-Secure-Access, or ask whoever "
     "runs this sandbox for access.",
     0},

    {ngx_string("not_exposed"), 403, "sandbox %V does not expose port %ui",
     "Check the port, or have it exposed in the sandbox's record.", 0},

    {ngx_string("not_found"), 404, "there is no sandbox %V here (port %ui)",
     "Check the id. The sandbox may have ended.", 0},

    {ngx_string("expired"), 410, "sandbox %V has expired (port %ui)",
     "Start a new sandbox; this one does not come back.", 0},

    {ngx_string("ambiguous"), 502,
     "two objects claim the id %V (port %ui), so neither is served",
     "Tell whoever runs these sandboxes: one of the two must go, or be given "
     "another id.",
     0},

    {ngx_string("paused"), 503, "sandbox %V is paused (port %ui)",
     "Resume the sandbox, then load this page again.", 1},

    {ngx_string("not_ready"), 503, "sandbox %V is not ready yet (port %ui)",
     "Wait a moment, then load this page again.", 1},

    {ngx_string("no_keys"), 503,
     "signed links to sandbox %V, port %ui, cannot be checked: "
     "the gateway has no keys",
     "Tell whoever runs this gateway.", 0},

    {ngx_string("unresolved"), 502,
     "the address of sandbox %V cannot be resolved (port %ui)",
     "Wait a moment, then load this page again.", 1},

    {ngx_string("refused"), 502,
     "sandbox %V refuses connections to port %ui: nothing listens there",
     "Check that the program in the sandbox runs and listens on this port, "
     "on all addresses and not on localhost alone.",
     1},

    {ngx_string("unreachable"), 502, "sandbox %V cannot be reached on port %ui",
     "Check that the sandbox still runs. Its address, a route to it or a "
     "firewall before it may be wrong.",
     1},

    {ngx_string("dropped"), 502,
     "sandbox %V closed the connection to port %ui before it answered",
     "Check the program in the sandbox: it may have crashed.", 0},

    {ngx_string("bad_answer"), 502,
     "sandbox %V, port %ui, did not answer in proper HTTP",
     "Check that the program on this port is a web server, without TLS.", 0},

    {ngx_string("slow"), 504, "sandbox %V, port %ui, took too long to answer",
     "Wait a moment, then load this page again.", 0},
};


ngx_uint_t
ngx_http_osb_outcome_status(ngx_http_osb_status_e status)
{
    return ngx_http_osb_answers[status].status;
}


ngx_str_t *
ngx_http_osb_outcome_name(ngx_http_osb_status_e status)
{
    return &ngx_http_osb_answers[status].name;
}


ngx_http_osb_status_e
ngx_http_osb_outcome(ngx_http_osb_ctx_t *ctx)
{
    return ctx->status == NGX_HTTP_OSB_OK ? ctx->failed : ctx->status;
}


ngx_http_osb_answer_t *
ngx_http_osb_outcome_answer(ngx_http_osb_status_e status)
{
    return &ngx_http_osb_answers[status];
}
