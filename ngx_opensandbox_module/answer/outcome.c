/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* Who may not enter has been told 401 before any of what the others say. */

static ngx_http_osb_answer_t ngx_http_osb_answers[] = {

    {ngx_string("ok"), 200, "", "", "", "", 0},

    {ngx_string("bad_route"), 400,
     "the request does not name a sandbox and a port",
     "This address leads to no sandbox",
     "Check the address: it must hold the id of a sandbox and a port.",
     "Write the id and the port of your sandbox into the address, as the "
     "gateway's endpoints call gives it.",
     0},

    {ngx_string("unauthorized"), 401,
     "sandbox %V, port %ui, needs an access token", "You need access",
     "Ask whoever runs this sandbox, or sent you here, for access.",
     "Send the access token in the header OpenSandbox-Secure-Access.", 0},

    {ngx_string("not_exposed"), 403, "sandbox %V does not expose port %ui",
     "This port is closed",
     "Ask whoever sent you the link whether its port is right.",
     "Check the port, or have it exposed in the sandbox's record.", 0},

    {ngx_string("not_found"), 404, "there is no sandbox %V here (port %ui)",
     "There is no such sandbox", "Ask whoever sent you the link for a new one.",
     "Check the id. The sandbox may have ended.", 0},

    {ngx_string("expired"), 410, "sandbox %V has expired (port %ui)",
     "This sandbox has ended", "Ask whoever sent you the link for a new one.",
     "Start a new sandbox; this one does not come back.", 0},

    {ngx_string("ambiguous"), 502,
     "two objects claim the id %V (port %ui), so neither is served",
     "Two sandboxes have one name", "Tell whoever sent you the link.",
     "Tell whoever runs these sandboxes: one of the two must go, or be given "
     "another id.",
     0},

    {ngx_string("paused"), 503, "sandbox %V is paused (port %ui)",
     "This sandbox is paused",
     "Ask whoever sent you the link to resume the sandbox.",
     "Resume the sandbox, then load this page again.", 1},

    {ngx_string("not_ready"), 503, "sandbox %V is not ready yet (port %ui)",
     "This sandbox is starting", "Wait a moment, then load this page again.",
     "Wait until the sandbox is ready. Its own log says what it waits for.", 1},

    {ngx_string("no_keys"), 503,
     "signed links to sandbox %V, port %ui, cannot be checked: the gateway has "
     "no keys",
     "Links cannot be checked here", "Tell whoever sent you the link.",
     "Tell whoever runs this gateway: it needs opensandbox_access_keys.", 0},

    {ngx_string("unresolved"), 502,
     "the address of sandbox %V cannot be resolved (port %ui)",
     "This sandbox cannot be found",
     "Wait a moment, then load this page again.",
     "Check the host name in the sandbox's record, and the gateway's resolver.",
     1},

    {ngx_string("refused"), 502,
     "sandbox %V refuses connections to port %ui: nothing listens there",
     "Nothing answers on this port",
     "Wait a moment, then load this page again. Ask whoever sent you the link "
     "if that does not help.",
     "Start your server on this port. It must listen on 0.0.0.0, on all "
     "addresses, and not on localhost alone.",
     1},

    {ngx_string("unreachable"), 502, "sandbox %V cannot be reached on port %ui",
     "This sandbox cannot be reached",
     "Wait a moment, then load this page again. Ask whoever sent you the link "
     "if that does not help.",
     "Check that the sandbox still runs. Its address, a route to it or a "
     "firewall before it may be wrong.",
     1},

    {ngx_string("dropped"), 502,
     "sandbox %V closed the connection to port %ui before it answered",
     "The program hung up", "Ask whoever sent you the link to look after it.",
     "Check the program in the sandbox: it may have crashed.", 0},

    {ngx_string("bad_answer"), 502,
     "sandbox %V, port %ui, did not answer in proper HTTP",
     "The answer makes no sense",
     "Ask whoever sent you the link to look after it.",
     "Check that the program on this port is a web server, without TLS.", 0},

    {ngx_string("slow"), 504, "sandbox %V, port %ui, took too long to answer",
     "The answer takes too long", "Wait a moment, then load this page again.",
     "Check what keeps the program in the sandbox busy.", 0},
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
