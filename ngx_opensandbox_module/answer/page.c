/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <openssl/sha.h>

#include <openssl/sha.h>


/*
 * The page of an error, for people: what has happened, what to do, and what to
 * name when asking for help.  It runs nothing and loads nothing.
 */


static u_char *
ngx_http_osb_page_part(u_char *p, u_char *last, const char *title,
                       const char *text);


#define NGX_HTTP_OSB_PAGE_STYLE                                               \
    ":root{color-scheme:light dark;--bg:#fbfaf7;--fg:#1d2129;--mute:#5b6470;" \
    "--bad:#b3261e;--line:#d9dbe0}"                                           \
    "@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e6e8eb;"      \
    "--mute:#a3abb5;--bad:#ff8a80;--line:#363c46}}"                           \
    "body{margin:0;background:var(--bg);color:var(--fg);"                     \
    "font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"              \
    "main{max-width:38rem;margin:0 auto;padding:10vh 1.25rem 2rem}"           \
    "h1{font-size:1.75rem;line-height:1.2;margin:.25rem 0 1rem}"              \
    "h2{font-size:1rem;margin:1.5rem 0 .25rem}p{margin:0}"                    \
    ".code{color:var(--bad);font-weight:600}"                                 \
    "footer{margin-top:2rem;padding-top:.75rem;color:var(--mute);"            \
    "border-top:1px solid var(--line);font-size:.875rem}"

#define NGX_HTTP_OSB_PAGE_HEAD                                            \
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n" \
    "<meta name=\"viewport\" content=\"width=device-width\">\n"           \
    "<link rel=\"icon\" href=\"data:,\">\n"                               \
    "<style>" NGX_HTTP_OSB_PAGE_STYLE "</style>\n"


ngx_chain_t *
ngx_http_osb_page(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                  u_char *message, ngx_str_t *request_id)
{
    u_char                *p, *last;
    ngx_buf_t             *b;
    ngx_chain_t           *cl;
    ngx_http_osb_answer_t *answer;

    static u_char head[] = NGX_HTTP_OSB_PAGE_HEAD;

    enum {
        size = 6144
    };

    answer = ngx_http_osb_outcome_answer(ctx->status);

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_create_temp_buf(r->pool, size);

    if (cl == NULL || b == NULL) {
        return NULL;
    }

    last = b->end;

    p = ngx_cpymem(b->last, head, sizeof(head) - 1);
    p = ngx_slprintf(p, last,
                     "<title>%s</title></head>\n<body><main>\n"
                     "<p class=\"code\">%ui %V</p>\n<h1>%s</h1>\n<p>",
                     answer->title, answer->status, &answer->name,
                     answer->title);
    p = (u_char *) ngx_escape_html(p, message, ngx_strlen(message));
    p = ngx_slprintf(p, last, ".</p>\n");

    if (!ctx->owner || ctx->advice) {
        p = ngx_http_osb_page_part(p, last, "What you can do",
                                   ctx->advice ? ctx->advice : answer->visitor);
    }

    p = ngx_http_osb_page_part(p, last, "If you run this sandbox",
                               answer->owner);
    p = ngx_slprintf(p, last,
                     "<footer>If you ask for help, name request "
                     "<code>%V</code> of %V.</footer>\n</main></body></html>\n",
                     request_id, &ngx_cached_http_time);

    b->last = p;
    cl->buf = b;

    return cl;
}


static u_char *
ngx_http_osb_page_part(u_char *p, u_char *last, const char *title,
                       const char *text)
{
    return ngx_slprintf(p, last, "<h2>%s</h2>\n<p>%s</p>\n", title, text);
}


/* Nothing but the page's own style, by its hash, which is found once. */

ngx_int_t
ngx_http_osb_page_headers(ngx_http_request_t *r)
{
    u_char   *p, digest[SHA256_DIGEST_LENGTH];
    ngx_str_t hash, text;

    static u_char    style[] = NGX_HTTP_OSB_PAGE_STYLE;
    static u_char    space[256];
    static ngx_str_t policy = {0, space};

    static u_char before[] = "default-src 'none'; img-src data:; "
                             "base-uri 'none'; form-action 'none'; "
                             "style-src 'sha256-";

    static ngx_str_t nosniff = ngx_string("nosniff");

    if (policy.len == 0) {
        SHA256(style, sizeof(style) - 1, digest);

        hash.data = digest;
        hash.len = sizeof(digest);

        p = ngx_cpymem(space, before, sizeof(before) - 1);

        text.data = p;
        ngx_encode_base64(&text, &hash);

        p += text.len;
        *p++ = '\'';
        policy.len = (size_t) (p - space);
    }

    if (ngx_http_osb_header_add(r, "Content-Security-Policy", &policy) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_osb_header_add(r, "X-Content-Type-Options", &nosniff);
}
