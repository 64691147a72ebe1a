/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_module.h"


/*
 * The state file: a line of JSON for each record that came by the API.  One
 * worker writes it anew, beside the old one, when records have changed.
 */


#define NGX_HTTP_OPENSANDBOX_STATE_TICK 500 /* milliseconds */
#define NGX_HTTP_OPENSANDBOX_STATE_SIZE 65536


static void
ngx_http_opensandbox_state_tick(ngx_event_t *ev);
static ngx_int_t
ngx_http_opensandbox_state_save(ngx_http_opensandbox_zone_t *zone,
                                ngx_log_t                   *log);
static ngx_int_t
ngx_http_opensandbox_state_write(ngx_http_opensandbox_zone_t *zone, FILE *file,
                                 u_char *buf);
static void
ngx_http_opensandbox_state_line(ngx_http_opensandbox_zone_t *zone, char *line,
                                ngx_uint_t n, ngx_log_t *log);


static ngx_event_t       ngx_http_opensandbox_state_event;
static ngx_connection_t  ngx_http_opensandbox_state_dummy;
static ngx_atomic_uint_t ngx_http_opensandbox_state_saved;


void
ngx_http_opensandbox_state_load(ngx_http_opensandbox_zone_t *zone,
                                ngx_log_t                   *log)
{
    char      *line;
    FILE      *file;
    size_t     size;
    ngx_uint_t n;

    file = fopen((char *) zone->state.data, "r");

    if (file == NULL) {
        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                          "cannot read state file \"%V\"", &zone->state);
        }

        return;
    }

    line = NULL;
    size = 0;

    for (n = 1; getline(&line, &size, file) != -1; n++) {
        ngx_http_opensandbox_state_line(zone, line, n, log);
    }

    free(line);
    (void) fclose(file);
}


static void
ngx_http_opensandbox_state_line(ngx_http_opensandbox_zone_t *zone, char *line,
                                ngx_uint_t n, ngx_log_t *log)
{
    json_t                       *object;
    ngx_pool_t                   *pool;
    ngx_http_opensandbox_fault_t  fault;
    ngx_http_opensandbox_change_t change;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return;
    }

    object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

    change.record =
        ngx_http_opensandbox_record_parse(pool, object, NULL, 0, &fault);

    if (change.record == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "state file \"%V\", line %ui: %s",
                      &zone->state, n, fault.message);

    } else if (ngx_http_opensandbox_registry_put(zone, &change, 1, pool) !=
               NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "state file \"%V\", line %ui: the zone is full",
                      &zone->state, n);
    }

    json_decref(object);
    ngx_destroy_pool(pool);
}


void
ngx_http_opensandbox_state_start(ngx_http_opensandbox_zone_t *zone,
                                 ngx_log_t                   *log)
{
    ngx_event_t *ev;

    ev = &ngx_http_opensandbox_state_event;

    ngx_http_opensandbox_state_dummy.fd = (ngx_socket_t) -1;
    ngx_http_opensandbox_state_dummy.data = zone;

    ev->handler = ngx_http_opensandbox_state_tick;
    ev->data = &ngx_http_opensandbox_state_dummy;
    ev->log = log;
    ev->cancelable = 1;

    /* what is in the file may be older than the zone */
    ngx_http_opensandbox_state_saved = zone->shared->changes - 1;

    ngx_add_timer(ev, NGX_HTTP_OPENSANDBOX_STATE_TICK);
}


void
ngx_http_opensandbox_state_stop(ngx_http_opensandbox_zone_t *zone,
                                ngx_log_t                   *log)
{
    if (ngx_http_opensandbox_state_event.handler &&
        zone->shared->changes != ngx_http_opensandbox_state_saved)
    {
        (void) ngx_http_opensandbox_state_save(zone, log);
    }
}


static void
ngx_http_opensandbox_state_tick(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_atomic_uint_t            changes;
    ngx_http_opensandbox_zone_t *zone;

    c = ev->data;
    zone = c->data;

    changes = zone->shared->changes;

    if (changes != ngx_http_opensandbox_state_saved &&
        ngx_http_opensandbox_state_save(zone, ev->log) == NGX_OK)
    {
        ngx_http_opensandbox_state_saved = changes;
    }

    ngx_add_timer(ev, NGX_HTTP_OPENSANDBOX_STATE_TICK);
}


static ngx_int_t
ngx_http_opensandbox_state_save(ngx_http_opensandbox_zone_t *zone,
                                ngx_log_t                   *log)
{
    int       fd;
    char      name[PATH_MAX];
    FILE     *file;
    u_char   *buf;
    ngx_int_t rc;

    if (ngx_snprintf((u_char *) name, sizeof(name), "%V.%P%Z", &zone->state,
                     ngx_pid) == (u_char *) name + sizeof(name))
    {
        return NGX_ERROR;
    }

    buf = ngx_alloc(NGX_HTTP_OPENSANDBOX_STATE_SIZE, log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    /* it holds access tokens */

    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file = (fd == -1) ? NULL : fdopen(fd, "w");
    rc = NGX_ERROR;

    if (file) {
        rc = ngx_http_opensandbox_state_write(zone, file, buf);

        if (fclose(file) != 0) {
            rc = NGX_ERROR;
        }
    }

    ngx_free(buf);

    if (rc == NGX_OK && rename(name, (char *) zone->state.data) == 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, ngx_errno, "cannot write state file \"%V\"",
                  &zone->state);

    (void) unlink(name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_opensandbox_state_write(ngx_http_opensandbox_zone_t *zone, FILE *file,
                                 u_char *buf)
{
    int                            failed;
    u_char                         last[NGX_HTTP_OPENSANDBOX_ID_LEN];
    json_t                        *object;
    ngx_str_t                      after, id;
    ngx_uint_t                     n;
    ngx_http_opensandbox_record_t *record;

    failed = 0;
    after.len = 0;
    after.data = last;

    for (;;) {
        n = ngx_http_opensandbox_registry_list(
            zone, &after, buf, NGX_HTTP_OPENSANDBOX_STATE_SIZE, 512);

        if (n == 0) {
            return failed ? NGX_ERROR : NGX_OK;
        }

        record = (ngx_http_opensandbox_record_t *) buf;

        while (n--) {

            if (!record->declared) {
                object = ngx_http_opensandbox_record_json(
                    record, NGX_HTTP_OPENSANDBOX_SHOW_SECRETS);

                failed |= json_dumpf(object, file, JSON_COMPACT);
                failed |= (putc('\n', file) == EOF);

                json_decref(object);
            }

            id = ngx_http_opensandbox_text(record, &record->id);

            after.len = id.len;
            ngx_memcpy(last, id.data, id.len);

            record = ngx_http_opensandbox_next_record(record);
        }
    }
}
