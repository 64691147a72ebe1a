/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"

#include <sys/file.h>


/*
 * The state file: a line of JSON for each record that came by the API.
 *
 * It is written beside the old one, under a name that is also the lock: who
 * has flock(2) on the file that bears it is the one writer, of all workers of
 * all binaries.  What he writes is the zone as it is then, so the last to
 * write has the newest.  The kernel releases the lock of one who dies.
 */


static ngx_int_t
ngx_http_osb_state_line(ngx_http_osb_zone_t *zone, char *line, size_t len,
                        ngx_uint_t n, ngx_log_t *log);
static void
ngx_http_osb_state_set_aside(ngx_http_osb_zone_t *zone, ngx_log_t *log);
static int
ngx_http_osb_state_open(ngx_http_osb_save_t *save, const char *name);
static int
ngx_http_osb_state_lock(ngx_http_osb_save_t *save, const char *name);
static void
ngx_http_osb_state_replace(ngx_http_osb_save_t *save, int fd, const char *name);
static ngx_int_t
ngx_http_osb_state_write(ngx_http_osb_zone_t *zone, FILE *file, u_char *buf);
static void
ngx_http_osb_state_sync(ngx_http_osb_save_t *save);
static void
ngx_http_osb_state_failed(ngx_http_osb_save_t *save, const char *what);


ngx_int_t
ngx_http_osb_state_load(ngx_http_osb_zone_t *zone, ngx_log_t *log)
{
    char      *line;
    FILE      *file;
    size_t     size;
    ssize_t    len;
    ngx_int_t  rc;
    ngx_uint_t n, bad;

    file = fopen((char *) zone->state.data, "re");

    if (file == NULL) {
        if (ngx_errno == NGX_ENOENT) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "cannot open state file \"%V\"", &zone->state);
        return NGX_ERROR;
    }

    rc = NGX_OK;
    line = NULL;
    size = 0;
    bad = 0;

    for (n = 1; (len = getline(&line, &size, file)) != -1; n++) {
        if (ngx_http_osb_state_line(zone, line, len, n, log) != NGX_OK) {
            bad++;
        }
    }

    if (ferror(file)) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "cannot read state file \"%V\", line %ui", &zone->state,
                      n);
        rc = NGX_ERROR;
    }

    free(line);
    (void) fclose(file);

    if (bad) {
        ngx_http_osb_state_set_aside(zone, log);
    }

    return rc;
}


static ngx_int_t
ngx_http_osb_state_line(ngx_http_osb_zone_t *zone, char *line, size_t len,
                        ngx_uint_t n, ngx_log_t *log)
{
    json_t                *object;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    json_error_t           error;
    ngx_http_osb_fault_t   fault;
    ngx_http_osb_record_t *record;

    pool = ngx_create_pool(1024, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    record = NULL;
    object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);

    if (object == NULL) {
        ngx_http_osb_fault(&fault, "", "%s", error.text);

    } else {
        record = ngx_http_osb_record_parse(pool, object, NULL, 0, &fault);
    }

    if (record == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "state file \"%V\", line %ui: %s",
                      &zone->state, n, fault.message);

    } else {
        rc = ngx_http_osb_registry_put(zone, record);

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "state file \"%V\", line %ui: the zone is full",
                          &zone->state, n);
        }
    }

    json_decref(object);
    ngx_destroy_pool(pool);

    return rc;
}


/* The next writing would lose the lines that were not taken. */

static void
ngx_http_osb_state_set_aside(ngx_http_osb_zone_t *zone, ngx_log_t *log)
{
    char name[PATH_MAX];

    (void) snprintf(name, sizeof(name), "%s.bad", (char *) zone->state.data);

    (void) unlink(name);

    if (link((char *) zone->state.data, name) == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "cannot keep state file \"%V\" as \"%s\"", &zone->state,
                      name);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "state file \"%V\" is kept as \"%s\", its good lines are "
                  "in use",
                  &zone->state, name);
}


void
ngx_http_osb_state_save(ngx_http_osb_save_t *save)
{
    int  fd;
    char name[PATH_MAX];

    save->failed = NULL;
    save->busy = 0;

    (void) snprintf(name, sizeof(name), "%s.new",
                    (char *) save->zone->state.data);

    fd = ngx_http_osb_state_lock(save, name);
    if (fd == -1) {
        return;
    }

    save->changes = save->zone->shared->changes;

    if (ngx_http_osb_memory_superseded(save->zone->memory)) {

        /* the file has newer records than we do */

        (void) unlink(name);

    } else {
        ngx_http_osb_state_replace(save, fd, name);
    }

    (void) close(fd);
}


/* The new file, locked; -1 with save->failed or save->busy set. */

static int
ngx_http_osb_state_lock(ngx_http_osb_save_t *save, const char *name)
{
    int         fd;
    ngx_uint_t  n;
    struct stat mine, there;

    for (n = 0; save->tries == 0 || n < save->tries; n++) {

        fd = ngx_http_osb_state_open(save, name);
        if (fd == -1) {
            return -1;
        }

        if (flock(fd, LOCK_EX | (save->tries ? LOCK_NB : 0)) == 0) {

            /* the one before may have given it the final name */

            if (fstat(fd, &mine) == 0 && stat(name, &there) == 0 &&
                mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
            {
                return fd;
            }

        } else if (ngx_errno != EWOULDBLOCK && ngx_errno != NGX_EINTR) {
            ngx_http_osb_state_failed(save, "lock");
            (void) close(fd);
            return -1;

        } else if (n + 1 < save->tries) {
            ngx_msleep(10);
        }

        (void) close(fd);
    }

    save->busy = 1;

    return -1;
}


static int
ngx_http_osb_state_open(ngx_http_osb_save_t *save, const char *name)
{
    int fd;

    /* it holds access tokens */

    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd == -1 && (ngx_errno == NGX_EACCES || ngx_errno == ELOOP)) {

        /* another user's, who is not there any more */

        (void) unlink(name);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }

    if (fd == -1) {
        ngx_http_osb_state_failed(save, "create");
    }

    return fd;
}


static void
ngx_http_osb_state_replace(ngx_http_osb_save_t *save, int fd, const char *name)
{
    int         copy;
    FILE       *file;
    u_char     *buf;
    const char *what;

    what = "write";
    buf = ngx_alloc(NGX_HTTP_OSB_WALK_SIZE, save->log);

    /* fclose() is not to release the lock */

    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    file = (copy == -1) ? NULL : fdopen(copy, "w");

    if (buf && file && fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0 &&
        ngx_http_osb_state_write(save->zone, file, buf) == NGX_OK &&
        fflush(file) == 0)
    {
        what = fsync(fd) == 0 ? NULL : "sync";
    }

    if (what == NULL && rename(name, (char *) save->zone->state.data) == -1) {
        what = "rename";
    }

    if (what) {
        ngx_http_osb_state_failed(save, what);
        (void) unlink(name);

    } else {
        ngx_http_osb_state_sync(save);
    }

    if (save->failed == NULL) {
        save->zone->shared->saved = save->changes;
    }

    if (file) {
        (void) fclose(file);

    } else if (copy != -1) {
        (void) close(copy);
    }

    ngx_free(buf);
}


static ngx_int_t
ngx_http_osb_state_write(ngx_http_osb_zone_t *zone, FILE *file, u_char *buf)
{
    int                    failed;
    char                  *text;
    size_t                 len;
    ngx_http_osb_walk_t    walk;
    ngx_http_osb_record_t *record;

    ngx_http_osb_walk_start(&walk, zone, buf);

    while ((record = ngx_http_osb_walk_next(&walk)) != NULL) {

        if (record->declared) {
            continue;
        }

        text =
            ngx_http_osb_record_text(record, NGX_HTTP_OSB_SHOW_SECRETS, &len);

        failed = text == NULL || fwrite(text, 1, len, file) != len ||
                 putc('\n', file) == EOF;

        free(text);

        if (failed) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The new name is to be on the disk too: fsync(2). */

static void
ngx_http_osb_state_sync(ngx_http_osb_save_t *save)
{
    int   fd, synced;
    char  folder[PATH_MAX];
    char *slash;

    (void) snprintf(folder, sizeof(folder), "%s",
                    (char *) save->zone->state.data);

    slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';

    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* a folder that cannot be read, or a file system that has no such thing */

    synced = (fd == -1) || fsync(fd) == 0 || ngx_errno == NGX_EINVAL;

    if (!synced) {
        ngx_http_osb_state_failed(save, "sync the folder of");
    }

    if (fd != -1) {
        (void) close(fd);
    }
}


static void
ngx_http_osb_state_failed(ngx_http_osb_save_t *save, const char *what)
{
    save->failed = what;
    save->err = ngx_errno;
}
