/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "proxy/proxy.h"
#include "status/status.h"


#define NGX_HTTP_OSB_RENEW_URI_LEN 4096
#define NGX_HTTP_OSB_RENEW_SEEN    16384


/* what this worker knows of a sandbox: no intent is due before then */
typedef struct {
    uint64_t hash;
    time_t   until;
} ngx_http_osb_seen_t;


static ngx_str_t
ngx_http_osb_renew_path(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_uint_t
ngx_http_osb_renew_due(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                       time_t min_interval);
static ngx_http_osb_seen_t *
ngx_http_osb_renew_seen(ngx_str_t *id);
static u_char *
ngx_http_osb_renew_uri(u_char *p, ngx_str_t *uri);
static ngx_int_t
ngx_http_osb_renew_option(ngx_conf_t *cf, ngx_str_t *value,
                          ngx_http_osb_renew_conf_t *rcf, ngx_str_t *key,
                          ngx_str_t *end);
static ngx_int_t
ngx_http_osb_renew_commands(ngx_conf_t *cf, ngx_http_osb_renew_conf_t *rcf,
                            ngx_str_t *key, ngx_str_t *end);
static ngx_int_t
ngx_http_osb_renew_login(ngx_str_t *rest, ngx_str_t *user, ngx_str_t *password);
static void
ngx_http_osb_renew_unescape(ngx_str_t *text);
static char *
ngx_http_osb_renew_url(ngx_conf_t *cf, ngx_str_t *text,
                       ngx_http_osb_renew_conf_t *conf);
static ngx_int_t
ngx_http_osb_renew_host(ngx_conf_t *cf, ngx_url_t *url,
                        ngx_http_osb_renew_conf_t *conf);
static ngx_int_t
ngx_http_osb_renew_hello(ngx_conf_t *cf, ngx_str_t *user, ngx_str_t *password,
                         ngx_str_t *db, ngx_http_osb_renew_conf_t *conf);
static u_char *
ngx_http_osb_renew_bulk(u_char *p, ngx_str_t *text);


static ngx_http_osb_seen_t *ngx_http_osb_seen;


void
ngx_http_osb_renew(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                   *p;
    size_t                    size;
    ngx_str_t                 uri, intent;
    ngx_uint_t                n;
    ngx_table_elt_t          *h;
    ngx_http_osb_main_conf_t *omcf;

    static ngx_str_t header = ngx_string("opensandbox-access-renew");

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    if (omcf->renew == NULL || ngx_http_osb_seen == NULL ||
        ngx_http_osb_renew_seen(&ctx->id)->until > ngx_time())
    {
        return;
    }

    h = ngx_http_osb_header_find(r, &header, &n);

    if (h && h->value.len == 4 && ngx_strncmp(h->value.data, "skip", 4) == 0) {
        return;
    }

    uri = ngx_http_osb_renew_path(r, ctx);

    /* a byte takes six at most, as in \u0001 */

    size = sizeof("{\"sandbox_id\":\"\",\"observed_at\":\"\",\"port\":65535,"
                  "\"request_uri\":\"\"}") +
           ctx->id.len + sizeof("1970-01-01T00:00:00Z") + 6 * uri.len;

    if (!ngx_http_osb_redis_room(size)) {
        ngx_http_osb_meters()->renews[NGX_HTTP_OSB_RENEW_DROPPED]++;
        return;
    }

    if (!ngx_http_osb_renew_due(omcf->zone, &ctx->id,
                                omcf->renew->min_interval)) {
        return;
    }

    intent.data = ngx_pnalloc(r->pool, size);
    if (intent.data == NULL) {
        return;
    }

    p = ngx_sprintf(intent.data, "{\"sandbox_id\":\"%V\",\"observed_at\":\"",
                    &ctx->id);
    p = ngx_http_osb_time_print(p, ngx_time());
    p = ngx_sprintf(p, "\",\"port\":%ui,\"request_uri\":\"", ctx->route.port);
    p = ngx_http_osb_renew_uri(p, &uri);
    p = ngx_cpymem(p, "\"}", 2);

    intent.len = p - intent.data;

    ngx_http_osb_redis_push(&intent);
}


/* A query may hold secrets, which are no business of the queue's readers. */

static ngx_str_t
ngx_http_osb_renew_path(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char   *p;
    ngx_str_t uri;

    uri = ctx->rest.len ? ctx->rest : r->unparsed_uri;

    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

    if (p) {
        uri.len = (size_t) (p - uri.data);
    }

    uri.len = ngx_min(uri.len, NGX_HTTP_OSB_RENEW_URI_LEN);

    return uri;
}


/* Whether no worker has sent one for a while; if so, this one does now. */

static ngx_uint_t
ngx_http_osb_renew_due(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                       time_t min_interval)
{
    time_t               last;
    ngx_http_osb_seen_t *seen;

    last = ngx_http_osb_registry_renew(zone, id, ngx_time(), min_interval);

    seen = ngx_http_osb_renew_seen(id);
    seen->until = (last ? last : ngx_time()) + min_interval;

    return last == 0;
}


static ngx_http_osb_seen_t *
ngx_http_osb_renew_seen(ngx_str_t *id)
{
    uint64_t             hash;
    ngx_http_osb_seen_t *seen;

    hash = (uint64_t) ngx_murmur_hash2(id->data, id->len) << 32 |
           ngx_crc32_short(id->data, id->len);

    seen = &ngx_http_osb_seen[hash % NGX_HTTP_OSB_RENEW_SEEN];

    if (seen->hash != hash) {
        seen->hash = hash;
        seen->until = 0;
    }

    return seen;
}


/* As a JSON string: a byte that is not ASCII is told as it is in a URI. */

static u_char *
ngx_http_osb_renew_uri(u_char *p, ngx_str_t *uri)
{
    size_t i;

    for (i = 0; i < uri->len; i++) {

        if (uri->data[i] & 0x80) {
            p = ngx_sprintf(p, "%%%02Xd", (int) uri->data[i]);

        } else {
            p = (u_char *) ngx_escape_json(p, &uri->data[i], 1);
        }
    }

    return p;
}


ngx_int_t
ngx_http_osb_renew_init_process(ngx_http_osb_renew_conf_t *conf,
                                ngx_cycle_t               *cycle)
{
    ngx_http_osb_seen = NULL;

    if (conf == NULL) {
        return NGX_OK;
    }

    if (ngx_http_osb_redis_init(conf, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_osb_seen = ngx_pcalloc(
        cycle->pool, NGX_HTTP_OSB_RENEW_SEEN * sizeof(ngx_http_osb_seen_t));

    return ngx_http_osb_seen ? NGX_OK : NGX_ERROR;
}


char *
ngx_http_osb_renew_intent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_main_conf_t *omcf = conf;

    char                      *error;
    ngx_str_t                 *value, key, end;
    ngx_uint_t                 i;
    ngx_http_osb_renew_conf_t *rcf;

    if (omcf->renew) {
        return "is duplicate";
    }

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_renew_conf_t));
    if (rcf == NULL) {
        return NGX_CONF_ERROR;
    }

    omcf->renew = rcf;
    omcf->used = 1;

    rcf->min_interval = 60;
    ngx_str_set(&key, "opensandbox:renew:intent");
    ngx_str_null(&end);

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_osb_renew_option(cf, &value[i], rcf, &key, &end) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    error = ngx_http_osb_renew_url(cf, &value[1], rcf);
    if (error) {
        return error;
    }

    return ngx_http_osb_renew_commands(cf, rcf, &key, &end) == NGX_OK
               ? NGX_CONF_OK
               : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_osb_renew_option(ngx_conf_t *cf, ngx_str_t *value,
                          ngx_http_osb_renew_conf_t *rcf, ngx_str_t *key,
                          ngx_str_t *end)
{
    ngx_int_t n;
    ngx_str_t text;

    if (ngx_strncmp(value->data, "min_interval=", 13) == 0) {
        text.data = value->data + 13;
        text.len = value->len - 13;

        rcf->min_interval = ngx_parse_time(&text, 1);

        return rcf->min_interval == (time_t) NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (ngx_strncmp(value->data, "queue=", 6) == 0) {
        key->data = value->data + 6;
        key->len = value->len - 6;

        return key->len ? NGX_OK : NGX_ERROR;
    }

    if (ngx_strncmp(value->data, "max_len=", 8) != 0) {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data + 8, value->len - 8);
    if (n < 1) {
        return NGX_ERROR;
    }

    end->data = ngx_pnalloc(cf->pool, NGX_INT_T_LEN);
    if (end->data == NULL) {
        return NGX_ERROR;
    }

    end->len = ngx_sprintf(end->data, "%i", n - 1) - end->data;

    return NGX_OK;
}


/* What goes before an intent, and behind it if the list is to be cut. */

static ngx_int_t
ngx_http_osb_renew_commands(ngx_conf_t *cf, ngx_http_osb_renew_conf_t *rcf,
                            ngx_str_t *key, ngx_str_t *end)
{
    u_char   *p;
    ngx_str_t lpush, ltrim;

    p = ngx_pnalloc(cf->pool, 2 * key->len + 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&lpush, "LPUSH");
    ngx_str_set(&ltrim, "LTRIM");

    rcf->push.data = p;
    p = ngx_cpymem(p, "*3\r\n", 4);
    p = ngx_http_osb_renew_bulk(p, &lpush);
    p = ngx_http_osb_renew_bulk(p, key);
    rcf->push.len = p - rcf->push.data;
    rcf->answers = 1;

    if (end->len == 0) {
        return NGX_OK;
    }

    rcf->trim.data = p;
    p = ngx_cpymem(p, "*4\r\n", 4);
    p = ngx_http_osb_renew_bulk(p, &ltrim);
    p = ngx_http_osb_renew_bulk(p, key);
    p = ngx_cpymem(p, "$1\r\n0\r\n", 7);
    p = ngx_http_osb_renew_bulk(p, end);
    rcf->trim.len = p - rcf->trim.data;
    rcf->answers = 2;

    return NGX_OK;
}


/* redis://[[user]:password@]host[:port][/db] */

static char *
ngx_http_osb_renew_url(ngx_conf_t *cf, ngx_str_t *text,
                       ngx_http_osb_renew_conf_t *conf)
{
    u_char   *p, *last;
    ngx_str_t user, password, db;
    ngx_url_t url;

    static ngx_str_t scheme = ngx_string("redis://");

    if (text->len <= scheme.len ||
        ngx_strncasecmp(text->data, scheme.data, scheme.len) != 0)
    {
        return "needs a URL \"redis://[[user]:password@]host[:port][/db]\"";
    }

    ngx_memzero(&url, sizeof(ngx_url_t));
    ngx_str_null(&db);

    url.url.data = text->data + scheme.len;
    url.url.len = text->len - scheme.len;
    url.default_port = 6379;
    url.no_resolve = 1;
    last = text->data + text->len;

    if (ngx_http_osb_renew_login(&url.url, &user, &password) != NGX_OK) {
        return "has a user without a password in its URL";
    }

    p = ngx_strlchr(url.url.data, last, '/');

    if (p) {
        db.data = p + 1;
        db.len = last - db.data;
        url.url.len = p - url.url.data;

        if (db.len && ngx_atoi(db.data, db.len) == NGX_ERROR) {
            return "has a database in its URL that is not a number";
        }
    }

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           url.err ? url.err : "error", &url.url);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_osb_renew_host(cf, &url, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_osb_renew_hello(cf, &user, &password, &db, conf) == NGX_OK
               ? NULL
               : NGX_CONF_ERROR;
}


/* The addresses; and the name and where it stands, if it is none itself. */

static ngx_int_t
ngx_http_osb_renew_host(ngx_conf_t *cf, ngx_url_t *url,
                        ngx_http_osb_renew_conf_t *conf)
{
    if (url->naddrs == 0) {
        conf->host = url->host;
        conf->port = url->port;

        conf->line = cf->conf_file->line;
        conf->file.len = cf->conf_file->file.name.len;
        conf->file.data = ngx_pstrdup(cf->pool, &cf->conf_file->file.name);

        if (conf->file.data == NULL) {
            return NGX_ERROR;
        }

        /* whether it has to be known now is for renew_init() to say */
        (void) ngx_inet_resolve_host(cf->pool, url);
    }

    conf->addrs = url->addrs;
    conf->naddrs = url->naddrs;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_renew_init(ngx_conf_t *cf, ngx_http_osb_renew_conf_t *conf)
{
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* without the directive it is one that has no servers, for the blocks */

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        conf->resolver = clcf->resolver;

    } else if (conf->naddrs == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "host not found: \"%V\" in %V:%ui; it can be looked up "
                      "later with a \"resolver\" in \"http\"",
                      &conf->host, &conf->file, conf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Cuts "[user]:password@" off the front of a URL; both are empty without. */

static ngx_int_t
ngx_http_osb_renew_login(ngx_str_t *rest, ngx_str_t *user, ngx_str_t *password)
{
    u_char *at, *colon;

    ngx_str_null(user);
    ngx_str_null(password);

    at = memrchr(rest->data, '@', rest->len);

    if (at == NULL) {
        return NGX_OK;
    }

    colon = ngx_strlchr(rest->data, at, ':');
    if (colon == NULL) {
        return NGX_ERROR;
    }

    user->data = rest->data;
    user->len = colon - rest->data;
    password->data = colon + 1;
    password->len = at - password->data;

    rest->len -= at + 1 - rest->data;
    rest->data = at + 1;

    ngx_http_osb_renew_unescape(user);
    ngx_http_osb_renew_unescape(password);

    return NGX_OK;
}


/* In place: decoded, it is not longer. */

static void
ngx_http_osb_renew_unescape(ngx_str_t *text)
{
    u_char *src, *dst;

    src = text->data;
    dst = src;

    ngx_unescape_uri(&dst, &src, text->len, 0);

    text->len = dst - text->data;
}


/* The last greeting is a PONG: Redis is neither loading nor closed to us. */

static ngx_int_t
ngx_http_osb_renew_hello(ngx_conf_t *cf, ngx_str_t *user, ngx_str_t *password,
                         ngx_str_t *db, ngx_http_osb_renew_conf_t *conf)
{
    u_char *p;

    p = ngx_pnalloc(cf->pool, user->len + password->len + db->len + 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->hello.data = p;

    if (password->len) {
        p = ngx_sprintf(p, "*%d\r\n$4\r\nAUTH\r\n", user->len ? 3 : 2);

        if (user->len) {
            p = ngx_http_osb_renew_bulk(p, user);
        }

        p = ngx_http_osb_renew_bulk(p, password);
        conf->greetings++;
    }

    if (db->len) {
        p = ngx_cpymem(p, "*2\r\n$6\r\nSELECT\r\n", 16);
        p = ngx_http_osb_renew_bulk(p, db);
        conf->greetings++;
    }

    p = ngx_cpymem(p, "*1\r\n$4\r\nPING\r\n", 14);
    conf->greetings++;

    conf->hello.len = p - conf->hello.data;

    return NGX_OK;
}


static u_char *
ngx_http_osb_renew_bulk(u_char *p, ngx_str_t *text)
{
    return ngx_sprintf(p, "$%uz\r\n%V\r\n", text->len, text);
}
