/* SPDX-License-Identifier: Apache-2.0 */

#include "status/status.h"
#include "inner.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/random.h>


/*
 * The zone's memory is a file without a name, memfd_create(2), whose
 * descriptor stays open over execve(2): a binary upgrade finds it in
 * /proc/self/fd and maps it where it was, for slab pool and records point to
 * each other.  The old and the new workers then share one zone.
 */


#define NGX_HTTP_OSB_MEMFD      "opensandbox-zone:"
#define NGX_HTTP_OSB_MEMFD_NAME 200

/* grows when what is in the zone changes its meaning, but not its size */
#define NGX_HTTP_OSB_LAYOUT_VERSION 4

/* memfd_create(2), since Linux 6.3 */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif


static int
ngx_http_osb_memory_find(ngx_str_t *name, ngx_log_t *log);
static ngx_http_osb_memory_header_t *
ngx_http_osb_memory_header(int fd, ngx_str_t *name, ngx_log_t *log);
static void
ngx_http_osb_memory_look(ngx_shm_zone_t          *shm_zone,
                         ngx_http_osb_previous_t *previous);
static ngx_int_t
ngx_http_osb_memory_create(ngx_shm_zone_t         *shm_zone,
                           ngx_http_osb_memory_t **memory);
static int
ngx_http_osb_memory_file(ngx_str_t *name);
static ngx_int_t
ngx_http_osb_memory_pool(ngx_shm_zone_t *shm_zone);
static u_char *
ngx_http_osb_memory_map(int fd, size_t size);
static void
ngx_http_osb_memory_replace(ngx_shm_zone_t *shm_zone, u_char *addr);
static void
ngx_http_osb_memory_name(u_char *buf, size_t size, ngx_str_t *name,
                         const char *before, const char *after);
static void
ngx_http_osb_memory_sweep(int keep);


static const u_char ngx_http_osb_memory_magic[8] = "osbzone";

/* The same structures, so the same offsets, whichever compiler and nginx. */

static const uint32_t ngx_http_osb_memory_layout[NGX_HTTP_OSB_LAYOUT] = {
    NGX_HTTP_OSB_LAYOUT_VERSION,
    sizeof(void *),
    sizeof(ngx_slab_pool_t),
    offsetof(ngx_slab_pool_t, min_size),
    offsetof(ngx_slab_pool_t, pages),
    offsetof(ngx_slab_pool_t, free),
    offsetof(ngx_slab_pool_t, stats),
    offsetof(ngx_slab_pool_t, start),
    offsetof(ngx_slab_pool_t, mutex),
    offsetof(ngx_slab_pool_t, log_ctx),
    offsetof(ngx_slab_pool_t, data),
    sizeof(ngx_slab_page_t),
    sizeof(ngx_slab_stat_t),
    sizeof(ngx_shmtx_sh_t),
    sizeof(ngx_shmtx_t),
    sizeof(ngx_http_osb_shared_t),
    offsetof(ngx_http_osb_node_t, record),
    sizeof(ngx_http_osb_node_t),
    sizeof(ngx_http_osb_record_t),
    offsetof(ngx_http_osb_record_t, id),
    sizeof(ngx_http_osb_endpoint_t),
    offsetof(ngx_http_osb_endpoint_t, text),
    sizeof(ngx_http_osb_range_t),
    sizeof(ngx_http_osb_meters_t)};


ngx_int_t
ngx_http_osb_memory_open(ngx_shm_zone_t          *shm_zone,
                         ngx_http_osb_memory_t  **memory,
                         ngx_http_osb_previous_t *previous)
{
    u_char                       *addr;
    ngx_log_t                    *log;
    ngx_http_osb_memory_header_t *header;

    *memory = NULL;
    ngx_memzero(previous, sizeof(ngx_http_osb_previous_t));
    previous->fd = -1;

    /* a test of the configuration leaves what is running alone */

    if (ngx_test_config) {
        return NGX_DECLINED;
    }

    log = shm_zone->shm.log;

    ngx_http_osb_memory_look(shm_zone, previous);

    addr = previous->addr;
    header = previous->header;

    if (addr == NULL || !previous->mapped ||
        header->size != shm_zone->shm.size || !ngx_inherited)
    {
        return ngx_http_osb_memory_create(shm_zone, memory);
    }

    *memory = ngx_alloc(sizeof(ngx_http_osb_memory_t), log);
    if (*memory == NULL) {
        return NGX_ERROR;
    }

    (*memory)->fd = previous->fd;
    (*memory)->refs = 1;
    (*memory)->header = header;
    (*memory)->previous = NULL;

    ngx_http_osb_memory_replace(shm_zone, addr);

    ngx_memzero(previous, sizeof(ngx_http_osb_previous_t));
    previous->fd = -1;

    return NGX_OK;
}


/* What was in use before, if it is there and can be understood. */

static void
ngx_http_osb_memory_look(ngx_shm_zone_t          *shm_zone,
                         ngx_http_osb_previous_t *previous)
{
    int                           fd;
    u_char                       *addr;
    ngx_log_t                    *log;
    ngx_str_t                    *name;
    ngx_http_osb_memory_header_t *header;

    log = shm_zone->shm.log;
    name = &shm_zone->shm.name;

    fd = ngx_http_osb_memory_find(name, log);
    if (fd == -1) {
        return;
    }

    header = ngx_http_osb_memory_header(fd, name, log);
    if (header == NULL) {
        return;
    }

    previous->fd = fd;
    previous->header = header;
    previous->size = header->size;

    if (ngx_memcmp(header->layout, ngx_http_osb_memory_layout,
                   sizeof(ngx_http_osb_memory_layout)) != 0)
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "opensandbox_zone \"%V\" cannot be taken over: the "
                      "other binary lays its records out in another way",
                      name);
        return;
    }

    addr = (u_char *) (uintptr_t) header->address;

    if (mmap(addr, header->size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == addr)
    {
        previous->addr = addr;
        previous->mapped = 1;
        return;
    }

    /* the configuration that is being replaced has it there */

    if (ngx_errno == NGX_EEXIST && !ngx_is_init_cycle(ngx_cycle)) {
        previous->addr = addr;
        return;
    }

    ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                  "opensandbox_zone \"%V\" cannot be taken over at %p", name,
                  addr);
}


void
ngx_http_osb_memory_leave(ngx_http_osb_previous_t *previous)
{
    if (previous->mapped) {
        (void) munmap(previous->addr, previous->size);
    }

    if (previous->header) {
        (void) munmap(previous->header, ngx_pagesize);
    }
}


static ngx_int_t
ngx_http_osb_memory_create(ngx_shm_zone_t         *shm_zone,
                           ngx_http_osb_memory_t **memory)
{
    int                           fd;
    size_t                        size;
    u_char                       *addr;
    ngx_log_t                    *log;
    ngx_http_osb_memory_header_t *header;

    log = shm_zone->shm.log;
    size = ngx_align(shm_zone->shm.size, ngx_pagesize);

    fd = ngx_http_osb_memory_file(&shm_zone->shm.name);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "opensandbox_zone \"%V\" will not outlive a change of "
                      "its size or of the binary: memfd_create() failed",
                      &shm_zone->shm.name);
        return NGX_DECLINED;
    }

    addr = NULL;
    header = MAP_FAILED;
    *memory = ngx_alloc(sizeof(ngx_http_osb_memory_t), log);

    if (*memory && ftruncate(fd, size + ngx_pagesize) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    {
        addr = ngx_http_osb_memory_map(fd, shm_zone->shm.size);
        header = mmap(NULL, ngx_pagesize, PROT_READ | PROT_WRITE, MAP_SHARED,
                      fd, size);
    }

    if (addr == NULL || header == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "no memory for opensandbox_zone \"%V\"",
                      &shm_zone->shm.name);
        if (addr) {
            (void) munmap(addr, shm_zone->shm.size);
        }
        ngx_free(*memory);
        *memory = NULL;
        (void) close(fd);
        return NGX_ERROR;
    }

    ngx_memcpy(header->magic, ngx_http_osb_memory_magic, sizeof(header->magic));
    header->address = (uintptr_t) addr;
    header->size = shm_zone->shm.size;
    ngx_memcpy(header->layout, ngx_http_osb_memory_layout,
               sizeof(header->layout));

    (*memory)->fd = fd;
    (*memory)->refs = 1;
    (*memory)->header = header;
    (*memory)->previous = NULL;

    ngx_http_osb_memory_replace(shm_zone, addr);

    return ngx_http_osb_memory_pool(shm_zone);
}


/* A new file, -1 if the kernel does not give one. */

static int
ngx_http_osb_memory_file(ngx_str_t *name)
{
    int    fd;
    u_char text[300];

    ngx_http_osb_memory_name(text, sizeof(text), name, "", "");

    fd = memfd_create((char *) text, MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd == -1 && ngx_errno == NGX_EINVAL) {
        fd = memfd_create((char *) text, MFD_ALLOW_SEALING);
    }

    return fd;
}


/* What nginx does to memory of its own. */

static ngx_int_t
ngx_http_osb_memory_pool(ngx_shm_zone_t *shm_zone)
{
    ngx_slab_pool_t *pool;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    pool->end = shm_zone->shm.addr + shm_zone->shm.size;
    pool->min_shift = 3;
    pool->addr = pool;

    if (ngx_shmtx_create(&pool->mutex, &pool->lock, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_slab_init(pool);

    return NGX_DECLINED;
}


/*
 * Maps the memory where a later binary is likely to find the place free: at
 * random, far from where the kernel puts stacks, libraries and heaps.
 */

static u_char *
ngx_http_osb_memory_map(int fd, size_t size)
{
    u_char   *addr;
    uint64_t  place;
    uintptr_t hint;

    hint = 0;

#if (NGX_PTR_SIZE == 8)

    if (getrandom(&place, sizeof(place), GRND_NONBLOCK) == sizeof(place)) {
        hint = ((uintptr_t) 1 << 45) | (place & (((uintptr_t) 1 << 44) - 1));
        hint &= ~((uintptr_t) ngx_pagesize - 1);
    }

#endif

    addr = mmap((void *) hint, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return addr == MAP_FAILED ? NULL : addr;
}


static void
ngx_http_osb_memory_replace(ngx_shm_zone_t *shm_zone, u_char *addr)
{
    (void) munmap(shm_zone->shm.addr, shm_zone->shm.size);

    shm_zone->shm.addr = addr;
}


/* The zone's last memory among the open descriptors, or -1. */

static int
ngx_http_osb_memory_find(ngx_str_t *name, ngx_log_t *log)
{
    int                           fd, found;
    DIR                          *dir;
    char                          link[300];
    u_char                        want[300];
    ssize_t                       len;
    struct dirent                *entry;
    ngx_http_osb_memory_header_t *header;

    dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                      "opensandbox_zone \"%V\": cannot look for the memory it "
                      "had, \"/proc/self/fd\" is not there",
                      name);
        return -1;
    }

    ngx_http_osb_memory_name(want, sizeof(want), name, "/memfd:", " (deleted)");
    found = -1;

    while (found == -1 && (entry = readdir(dir)) != NULL) {
        len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

        if (len == -1) {
            continue;
        }

        link[len] = '\0';

        if (strcmp(link, (char *) want) != 0) {
            continue;
        }

        fd = atoi(entry->d_name);

        header = ngx_http_osb_memory_header(fd, name, log);

        if (header) {
            if (header->superseded == 0 ||
                !ngx_http_osb_process_alive(header->superseded)) {
                found = fd;
            }

            (void) munmap(header, ngx_pagesize);
        }
    }

    (void) closedir(dir);

    return found;
}


static ngx_http_osb_memory_header_t *
ngx_http_osb_memory_header(int fd, ngx_str_t *name, ngx_log_t *log)
{
    struct stat                   st;
    ngx_http_osb_memory_header_t *header;

    if (fstat(fd, &st) == -1 || st.st_size < (off_t) (2 * ngx_pagesize)) {
        return NULL;
    }

    header = mmap(NULL, ngx_pagesize, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                  st.st_size - ngx_pagesize);

    if (header == MAP_FAILED) {
        return NULL;
    }

    if (ngx_memcmp(header->magic, ngx_http_osb_memory_magic,
                   sizeof(header->magic)) != 0 ||
        ngx_align(header->size, ngx_pagesize) + ngx_pagesize !=
            (size_t) st.st_size)
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "descriptor %d is not the memory of opensandbox_zone "
                      "\"%V\", though it has its name",
                      fd, name);
        (void) munmap(header, ngx_pagesize);
        return NULL;
    }

    return header;
}


/* A name that memfd_create() takes, the same for the same zone. */

static void
ngx_http_osb_memory_name(u_char *buf, size_t size, ngx_str_t *name,
                         const char *before, const char *after)
{
    size_t len;

    len = ngx_min(name->len, NGX_HTTP_OSB_MEMFD_NAME);

    (void) ngx_snprintf(buf, size, "%s" NGX_HTTP_OSB_MEMFD "%*s%s%Z", before,
                        len, name->data, after);
}


ngx_http_osb_memory_t *
ngx_http_osb_memory_share(ngx_http_osb_memory_t *memory)
{
    if (memory) {
        memory->refs++;
    }

    return memory;
}


void
ngx_http_osb_memory_release(ngx_http_osb_memory_t *memory)
{
    if (memory == NULL || --memory->refs) {
        return;
    }

    if (memory->previous) {
        memory->previous->superseded = 0;
        (void) munmap(memory->previous, ngx_pagesize);
    }

    (void) munmap(memory->header, ngx_pagesize);

    if (memory->fd != -1) {
        (void) close(memory->fd);
    }

    ngx_free(memory);
}


void
ngx_http_osb_memory_move(ngx_http_osb_memory_t   *memory,
                         ngx_http_osb_previous_t *previous)
{
    if (previous->header == NULL || memory == NULL) {
        return;
    }

    memory->previous = previous->header;
    previous->header = NULL;

    memory->previous->superseded = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_http_osb_memory_confirm(ngx_http_osb_memory_t *memory, ngx_uint_t first)
{
    if (memory && memory->previous) {
        (void) munmap(memory->previous, ngx_pagesize);
        memory->previous = NULL;
    }

    if (first && ngx_inherited) {
        ngx_http_osb_memory_sweep(memory ? memory->fd : -1);
    }
}


/* Closes what the old binary has left open and nothing here uses. */

static void
ngx_http_osb_memory_sweep(int keep)
{
    int            fd;
    DIR           *dir;
    char           link[32];
    ssize_t        len;
    struct dirent *entry;

    dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return;
    }

    while ((entry = readdir(dir)) != NULL) {
        len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));
        fd = atoi(entry->d_name);

        if (fd != keep &&
            len > (ssize_t) sizeof("/memfd:" NGX_HTTP_OSB_MEMFD) &&
            ngx_memcmp(link, "/memfd:" NGX_HTTP_OSB_MEMFD,
                       sizeof("/memfd:" NGX_HTTP_OSB_MEMFD) - 1) == 0)
        {
            (void) close(fd);
        }
    }

    (void) closedir(dir);
}


void
ngx_http_osb_memory_init_process(ngx_http_osb_memory_t *memory)
{
    if (memory && memory->fd != -1) {
        (void) close(memory->fd);
        memory->fd = -1;
    }
}


ngx_uint_t
ngx_http_osb_memory_superseded(ngx_http_osb_memory_t *memory)
{
    return memory && memory->header->superseded &&
           ngx_http_osb_process_alive(memory->header->superseded);
}


ngx_uint_t
ngx_http_osb_process_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}
