/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"


typedef struct {
    ngx_http_osb_public_t public;
    ngx_http_osb_address_t address;

    ngx_str_t url;

    /* of a refusal, next to the call's fault */
    ngx_uint_t  status;
    const char *code;
    u_char      space[NGX_HTTP_OSB_EXPIRES_LEN + NGX_HTTP_OSB_LONG_SIG_LEN];
} ngx_http_osb_link_t;


static ngx_int_t
ngx_http_osb_link_make(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                       ngx_uint_t secure);
static json_t *
ngx_http_osb_link_headers(ngx_http_osb_link_t   *link,
                          ngx_http_osb_record_t *record);
static ngx_int_t
ngx_http_osb_link_public(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link);
static ngx_int_t
ngx_http_osb_link_kind(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                       ngx_uint_t secure);
static ngx_int_t
ngx_http_osb_link_refuse(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                         ngx_uint_t status, const char *code, const char *field,
                         const char *message);
static ngx_int_t
ngx_http_osb_link_sign(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link);
static u_char *
ngx_http_osb_base36(u_char *p, uint64_t value);
static ngx_int_t
ngx_http_osb_link_url(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link);


ngx_int_t
ngx_http_osb_api_endpoint(ngx_http_osb_call_t *call, ngx_str_t *port)
{
    json_t             *headers;
    ngx_int_t           rc;
    ngx_http_osb_copy_t copy;
    ngx_http_osb_link_t link;

    ngx_memzero(&link, sizeof(ngx_http_osb_link_t));

    link.address.id = call->id;
    link.address.port = ngx_http_osb_parse_port(port);

    if (link.address.port == 0) {
        ngx_http_osb_fault(&call->fault, "port",
                           "a port is a number from 1 to 65535");
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument");
    }

    if (ngx_http_osb_registry_route(call->zone, &call->id, &copy.record,
                                    sizeof(copy)) != NGX_OK)
    {
        return ngx_http_osb_api_missing(call);
    }

    if (ngx_http_osb_record_endpoint(&copy.record, link.address.port) == NULL &&
        !ngx_http_osb_record_nowhere(&copy.record))
    {
        ngx_http_osb_fault(&call->fault, "port",
                           "the sandbox does not expose this port");
        return ngx_http_osb_api_fault(call, NGX_HTTP_FORBIDDEN, "not_exposed");
    }

    rc = ngx_http_osb_link_make(call, &link, copy.record.secure);

    if (rc == NGX_DECLINED) {
        return ngx_http_osb_api_fault(call, link.status, link.code);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    headers = ngx_http_osb_link_headers(&link, &copy.record);

    if (headers == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_osb_api_send(call->request, NGX_HTTP_OK,
                                 json_pack("{s:s%,s:o}", "endpoint",
                                           (char *) link.url.data, link.url.len,
                                           "headers", headers));
}


/* Makes link->url of the call's arguments; NGX_DECLINED refuses the call. */

static ngx_int_t
ngx_http_osb_link_make(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                       ngx_uint_t secure)
{
    ngx_int_t rc;

    rc = ngx_http_osb_link_public(call, link);

    if (rc == NGX_OK) {
        rc = ngx_http_osb_link_kind(call, link, secure);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_osb_link_sign(call, link);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!secure && (link->address.browser ||
                    (link->public.mode->flags & NGX_HTTP_OSB_MODE_PREFIX)))
    {
        /*
         * whoever has the address may enter: there is nothing to sign, and
         * in a path the sandbox would get the signature as a part of its own
         */

        ngx_str_null(&link->address.expires);
        ngx_str_null(&link->address.signature);
    }

    return ngx_http_osb_link_url(call, link);
}


/* The headers that go with the address; NULL without memory. */

static json_t *
ngx_http_osb_link_headers(ngx_http_osb_link_t   *link,
                          ngx_http_osb_record_t *record)
{
    u_char   *last, label[NGX_HTTP_OSB_LABEL_LEN];
    json_t   *headers;
    ngx_str_t token;

    headers = json_object();

    if (link->public.mode->header) {
        last = ngx_http_osb_mode_label(label, &link->address);
        (void) json_object_set_new(
            headers, link->public.mode->header,
            json_stringn((char *) label, (size_t) (last - label)));
    }

    if (record->secure && link->address.signature.len == 0) {
        token = ngx_http_osb_text(record, &record->token);
        (void) json_object_set_new(
            headers, "OpenSandbox-Secure-Access",
            json_stringn((char *) token.data, token.len));
    }

    /* whoever gets a browser's link is not the caller of the API */

    if (!link->address.browser &&
        ngx_http_osb_headers_add(record, link->address.port, headers) != NGX_OK)
    {
        json_decref(headers);
        return NULL;
    }

    return headers;
}


/* Reads "mode", and finds the address; NGX_DECLINED refuses the call. */

static ngx_int_t
ngx_http_osb_link_public(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link)
{
    u_char               list[NGX_HTTP_OSB_MODE_LIST];
    char                 message[NGX_HTTP_OSB_MODE_LIST + 32];
    ngx_int_t            rc;
    ngx_str_t            value;
    ngx_http_osb_mode_t *mode;

    mode = NULL;

    if (ngx_http_osb_api_arg(call->request, "mode", &value) == NGX_OK) {
        mode = ngx_http_osb_mode(ngx_http_osb_mode_bits(&value));

        if (mode == NULL) {
            *ngx_sprintf((u_char *) message, "\"mode\" may be %s",
                         ngx_http_osb_mode_list(list, 0)) = '\0';

            return ngx_http_osb_link_refuse(call, link, NGX_HTTP_BAD_REQUEST,
                                            "bad_argument", "mode", message);
        }
    }

    rc = ngx_http_osb_public_of(call->request, mode, &link->public);

    if (rc == NGX_DECLINED) {
        return ngx_http_osb_link_refuse(
            call, link, NGX_HTTP_SERVICE_UNAVAILABLE, "no_public_address",
            mode ? "mode" : "",
            mode ? "the gateway has no public address for this mode"
                 : "the gateway has no public address");
    }

    return rc;
}


/* Reads "link"; NGX_DECLINED as above. */

static ngx_int_t
ngx_http_osb_link_kind(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                       ngx_uint_t secure)
{
    ngx_str_t   value;
    const char *message;

    if (ngx_http_osb_api_arg(call->request, "link", &value) != NGX_OK) {
        return NGX_OK;
    }

    link->address.browser = 1;

    if (value.len != 7 || ngx_strncmp(value.data, "browser", 7) != 0) {
        message = "\"link\" may be \"browser\"";

    } else if (secure &&
               ngx_http_osb_api_arg(call->request, "expires", &value) != NGX_OK)
    {
        message = "a link for a browser needs \"expires\"";

    } else if (link->public.mode->header) {
        message = "a browser cannot send a routing header: ask for another "
                  "\"mode\"";

    } else {
        return NGX_OK;
    }

    return ngx_http_osb_link_refuse(call, link, NGX_HTTP_BAD_REQUEST,
                                    "bad_argument", "link", message);
}


/* Reads "expires" and "signature"; NGX_DECLINED as above. */

static ngx_int_t
ngx_http_osb_link_sign(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link)
{
    u_char    *p, *last;
    time_t     expires;
    ngx_str_t  value;
    ngx_uint_t form;

    if (ngx_http_osb_api_arg(call->request, "expires", &value) != NGX_OK) {
        return NGX_OK;
    }

    expires = ngx_atotm(value.data, value.len);

    if (expires < ngx_time()) {
        return ngx_http_osb_link_refuse(
            call, link, NGX_HTTP_BAD_REQUEST, "bad_argument", "expires",
            "\"expires\" is a time to come, in unix seconds");
    }

    if (call->conf->keys.nelts == 0) {
        return ngx_http_osb_link_refuse(
            call, link, NGX_HTTP_SERVICE_UNAVAILABLE, "no_keys", "",
            "the gateway has no keys to sign with");
    }

    form = link->address.browser ? NGX_HTTP_OSB_LONG : NGX_HTTP_OSB_SHORT;

    if (ngx_http_osb_api_arg(call->request, "signature", &value) == NGX_OK) {

        if (value.len == 4 && ngx_strncmp(value.data, "long", 4) == 0) {
            form = NGX_HTTP_OSB_LONG;

        } else if (value.len != 5 || ngx_strncmp(value.data, "short", 5) != 0) {
            return ngx_http_osb_link_refuse(
                call, link, NGX_HTTP_BAD_REQUEST, "bad_argument", "signature",
                "\"signature\" may be \"short\" or \"long\"");
        }
    }

    p = ngx_http_osb_base36(link->space, (uint64_t) expires);

    link->address.expires.data = link->space;
    link->address.expires.len = (size_t) (p - link->space);

    last =
        ngx_http_osb_signature_make(p, call->conf->keys.elts, form, &call->id,
                                    link->address.port, &link->address.expires);
    if (last == NULL) {
        return NGX_ERROR;
    }

    link->address.signature.data = p;
    link->address.signature.len = (size_t) (last - p);

    return NGX_OK;
}


/* Makes the refusal; NGX_DECLINED. */

static ngx_int_t
ngx_http_osb_link_refuse(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link,
                         ngx_uint_t status, const char *code, const char *field,
                         const char *message)
{
    ngx_http_osb_fault(&call->fault, field, "%s", message);

    link->status = status;
    link->code = code;

    return NGX_DECLINED;
}


static u_char *
ngx_http_osb_base36(u_char *p, uint64_t value)
{
    u_char     buf[NGX_HTTP_OSB_EXPIRES_LEN];
    ngx_uint_t n;

    n = sizeof(buf);

    do {
        buf[--n] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36];
        value /= 36;
    } while (value);

    return ngx_cpymem(p, buf + n, sizeof(buf) - n);
}


/*
 * Writes the address; NGX_DECLINED as above.  Clients put "http://" before an
 * address and a path behind it, browsers open it.
 */

static ngx_int_t
ngx_http_osb_link_url(ngx_http_osb_call_t *call, ngx_http_osb_link_t *link)
{
    u_char     *p;
    ngx_uint_t  https;
    const char *error;

    link->address.base = link->public.base;
    link->address.scheme = "";

    if (link->address.browser) {
        https = link->public.scheme
                    ? link->public.https
                    : ngx_http_osb_forwarded_https(call->request);
        link->address.scheme = https ? "https://" : "http://";
    }

    p = ngx_pnalloc(call->request->pool,
                    link->address.base.len + NGX_HTTP_OSB_LABEL_LEN + 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    link->url.data = p;

    p = link->public.mode->write(p, &link->address, &error);

    if (p == NULL) {
        return ngx_http_osb_link_refuse(call, link, NGX_HTTP_BAD_REQUEST,
                                        "bad_argument", "id", error);
    }

    link->url.len = (size_t) (p - link->url.data);

    return NGX_OK;
}
