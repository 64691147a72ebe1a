/* SPDX-License-Identifier: Apache-2.0 */

#include "module.h"


typedef struct {
    ngx_str_t  name;
    ngx_uint_t status;

    /* one line of text: %V the sandbox, %ui the port, in that order */
    const char *message;

    /* what a person can do about it */
    const char *advice;
    ngx_uint_t  retry;
} ngx_http_osb_answer_t;


static ngx_int_t
ngx_http_osb_header_filter(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_own_error(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_answered(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_vet(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_body_filter(ngx_http_request_t *r, ngx_chain_t *in);
static ngx_uint_t
ngx_http_osb_event_stream(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_garbage(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_diagnose(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_reply(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_chain_t *
ngx_http_osb_reply_body(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        ngx_uint_t html);


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


static ngx_http_output_header_filter_pt ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt   ngx_http_next_body_filter;


ngx_int_t
ngx_http_osb_reply_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_osb_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_osb_body_filter;

    return NGX_OK;
}


ngx_uint_t
ngx_http_osb_http_status(ngx_http_osb_status_e status)
{
    return ngx_http_osb_answers[status].status;
}


ngx_str_t *
ngx_http_osb_status_name(ngx_http_osb_status_e status)
{
    return &ngx_http_osb_answers[status].name;
}


ngx_int_t
ngx_http_osb_add_header(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value)
{
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_header_filter(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx == NULL && ngx_http_osb_own_error(r) &&
        ngx_http_osb_cors_error(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx == NULL || ctx->replied) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_osb_restore_uri(r, ctx);

    if (ngx_http_osb_answered(r, ctx)) {

        if (ngx_http_osb_garbage(r, ctx)) {
            r->http_version = ctx->http_version;
            ctx->status = NGX_HTTP_OSB_BAD_ANSWER;

            return ngx_http_filter_finalize_request(
                r, &ngx_http_opensandbox_module, NGX_HTTP_BAD_GATEWAY);
        }

        if (ngx_http_osb_vet(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (r->err_status) {

        /* nginx answers for the sandbox */

        ngx_http_osb_diagnose(r, ctx);

        if (ngx_http_osb_cors_error(r) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ctx->status != NGX_HTTP_OSB_OK &&
            r->err_status == ngx_http_osb_answers[ctx->status].status &&
            ngx_http_osb_reply(r, ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->cookie.len) {

        if (ngx_http_osb_add_header(r, "Set-Cookie", &ctx->cookie) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->cookie.len = 0;
    }

    if (ctx->page.len) {

        if (ngx_http_osb_add_header(r, "Set-Cookie", &ctx->page) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->page.len = 0;
    }

    return ngx_http_next_header_filter(r);
}


/*
 * Whether nginx refuses a request before its route is read, or gives the page
 * for one that had a route.
 */

static ngx_uint_t
ngx_http_osb_own_error(ngx_http_request_t *r)
{
    ngx_http_osb_loc_conf_t *olcf;

    if (r != r->main || r->err_status < NGX_HTTP_BAD_REQUEST) {
        return 0;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    return olcf->mode || ngx_http_osb_own_ctx(r) != NULL;
}


/*
 * Whether the header is a sandbox's, be it for an error page: then the status
 * is nginx's.  The upstream has its clean-up as long as it is in use.
 */

static ngx_uint_t
ngx_http_osb_answered(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (!ctx->proxied || r->upstream == NULL || ctx->status != NGX_HTTP_OSB_OK)
    {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        return 1;
    }
#endif

    return r->upstream->cleanup != NULL;
}


/* What the sandbox says of itself is not what its client is to read. */

static ngx_int_t
ngx_http_osb_vet(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_cookie_guard(r);

    if ((ctx->prefix.len || ngx_http_osb_forwarded(r)) &&
        ngx_http_osb_rewrite(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->watched) {
        return NGX_OK;
    }

    if (r->upstream->upgrade) {
        ngx_http_osb_tunnel_open(r, ctx);

    } else if (ngx_http_osb_event_stream(r)) {
        ngx_http_osb_stream_open(r, ctx);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t        *body;
    ngx_http_osb_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (in && ctx && ctx->body) {
        body = ctx->body;
        ctx->body = NULL;

        return ngx_http_next_body_filter(r, body);
    }

    /* the flush after the head of an answer that changes protocols */

    if (in && ctx && ctx->tunnel && ctx->relay == NULL &&
        ngx_http_osb_relay_start(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_body_filter(r, in);
}


/* Whether the answer is server-sent events, which have no end of their own. */

static ngx_uint_t
ngx_http_osb_event_stream(ngx_http_request_t *r)
{
    u_char    ch;
    ngx_str_t type;

    static ngx_str_t events = ngx_string("text/event-stream");

    type = r->headers_out.content_type;

    if (type.len < events.len ||
        ngx_strncasecmp(type.data, events.data, events.len) != 0)
    {
        return 0;
    }

    ch = type.len > events.len ? type.data[events.len] : ';';

    return ch == ';' || ch == ' ' || ch == '\t';
}


/*
 * Whether a sandbox's answer has no status line.  nginx would take it for
 * HTTP/0.9 and send it to the client as it is.
 */

static ngx_uint_t
ngx_http_osb_garbage(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (r->upstream->header_sent) {
        return 0;
    }

    /* nobody asked to change protocols, or a stream of HTTP/2 that cannot */

    if (r->upstream->headers_in.status_n == NGX_HTTP_SWITCHING_PROTOCOLS &&
        (!r->upstream->upgrade || r->http_version > NGX_HTTP_VERSION_11))
    {
        return 1;
    }

    return r->upstream->headers_in.status_n == 0 &&
           r->http_version == NGX_HTTP_VERSION_9 &&
           ctx->http_version != NGX_HTTP_VERSION_9;
}


/* What went wrong with the sandbox, if nginx has given it up. */

static void
ngx_http_osb_diagnose(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_upstream_t *u;

    u = r->upstream;

    if (ctx->status == NGX_HTTP_OSB_OK && u && u->state &&
        (r->err_status == NGX_HTTP_BAD_GATEWAY ||
         r->err_status == NGX_HTTP_GATEWAY_TIME_OUT))
    {
        ctx->status = ctx->failed;
        ctx->reason = ctx->failure;
    }
}


ngx_http_osb_status_e
ngx_http_osb_outcome(ngx_http_osb_ctx_t *ctx)
{
    return ctx->status == NGX_HTTP_OSB_OK ? ctx->failed : ctx->status;
}


static ngx_int_t
ngx_http_osb_reply(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t             html;
    ngx_http_osb_answer_t *answer;

    static ngx_str_t second = ngx_string("1");
    static ngx_str_t scheme = ngx_string("OpenSandbox-Secure-Access");
    static ngx_str_t no_store = ngx_string("no-store");

    ctx->replied = 1;
    answer = &ngx_http_osb_answers[ctx->status];
    html = ngx_http_osb_wants_html(r);

    ctx->body = ngx_http_osb_reply_body(r, ctx, html);
    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    if (html) {
        ngx_str_set(&r->headers_out.content_type, "text/html");
        ngx_str_set(&r->headers_out.charset, "utf-8");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        ngx_str_null(&r->headers_out.charset);
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    r->headers_out.content_length_n =
        ctx->body->buf->last - ctx->body->buf->pos;

    if (r->headers_out.content_length) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = NULL;
    }

    if (answer->retry &&
        ngx_http_osb_add_header(r, "Retry-After", &second) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (answer->status == NGX_HTTP_UNAUTHORIZED &&
        ngx_http_osb_add_header(r, "WWW-Authenticate", &scheme) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_osb_add_header(r, "Cache-Control", &no_store);
}


static ngx_chain_t *
ngx_http_osb_reply_body(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        ngx_uint_t html)
{
    u_char                *p, *last, *message;
    ngx_buf_t             *b;
    ngx_chain_t           *cl;
    ngx_http_osb_answer_t *answer;

    enum {
        size = 2048
    };

    answer = &ngx_http_osb_answers[ctx->status];

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_create_temp_buf(r->pool, size);
    message = ngx_pnalloc(r->pool, size / 4);

    if (cl == NULL || b == NULL || message == NULL) {
        return NULL;
    }

    p = ngx_snprintf(message, size / 4 - 1, answer->message, &ctx->id,
                     ctx->route.port);

    if (ctx->reason) {
        p = ngx_slprintf(p, message + size / 4 - 1, ": %s", ctx->reason);
    }

    *p = '\0';
    last = b->end;

    if (html) {
        p = ngx_slprintf(
            b->last, last,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>%ui %V"
            "</title>\n<style>body{font:16px/1.5 sans-serif;max-width:40em;"
            "margin:4em auto;padding:0 1em}</style></head>\n<body>"
            "<h1>%ui</h1>\n<p>",
            answer->status, &answer->name, answer->status);
        p = (u_char *) ngx_escape_html(p, message, ngx_strlen(message));
        p = ngx_slprintf(p, last, ".</p>\n<p>%s</p>\n</body></html>\n",
                         ctx->advice ? ctx->advice : answer->advice);

    } else {
        p = ngx_slprintf(b->last, last, "{\"code\":\"%V\",\"message\":\"",
                         &answer->name);
        p = (u_char *) ngx_escape_json(p, message, ngx_strlen(message));
        p = ngx_slprintf(p, last, "\",\"sandbox\":\"%V\",\"port\":%ui}\n",
                         &ctx->id, ctx->route.port);
    }

    b->last = p;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    cl->buf = b;
    cl->next = NULL;

    return cl;
}
