/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_INNER_H_INCLUDED_


#include "record.h"
#include "conf.h"
#include "policy/policy.h"


#define NGX_HTTP_OSB_TIME_NONE INT64_MIN


/* a record being built; its strings grow behind it */
typedef struct {
    ngx_http_osb_record_t *record;
    ngx_http_osb_fault_t  *fault;
    ngx_pool_t            *pool;
    ngx_str_t              policy;
    u_char space[NGX_HTTP_OSB_RECORD_SIZE] __attribute__((aligned(8)));
} ngx_http_osb_draft_t;


/* the characters that a text has, and what a sentence calls them */
typedef struct {
    ngx_uint_t (*has)(u_char ch);
    const char *names;
} ngx_http_osb_chars_t;


typedef struct ngx_http_osb_field_s ngx_http_osb_field_t;


/* the functions of a row of the table in record.c */

/*
 * A directive's arguments as JSON, added to what an earlier line made; NULL if
 * they are bad.
 */
typedef json_t *
ngx_http_osb_line_t(json_t *old, ngx_str_t *args, ngx_uint_t n);

/* NGX_OK, or NGX_ERROR with the draft's fault set if the value is bad. */
typedef ngx_int_t
ngx_http_osb_parse_t(ngx_http_osb_draft_t *draft, ngx_http_osb_field_t *field,
                     json_t *value);

/*
 * Adds the value to the object if the record has one; 0 or, without memory, -1.
 */
typedef int
ngx_http_osb_print_t(ngx_http_osb_field_t *field, json_t *object,
                     ngx_http_osb_record_t *record);

/* Whether two records have the same. */
typedef ngx_uint_t
ngx_http_osb_same_t(ngx_http_osb_field_t *field, ngx_http_osb_record_t *one,
                    ngx_http_osb_record_t *two);

/* What the new one takes away, NGX_HTTP_OSB_REVOKES_*. */
typedef ngx_uint_t
ngx_http_osb_revokes_t(ngx_http_osb_record_t *old,
                       ngx_http_osb_record_t *record);


/* a field of the record */
struct ngx_http_osb_field_s {
    const char *key;

    /* the directive in a block, with at least min and at most max arguments */
    const char          *directive;
    ngx_uint_t           min;
    ngx_uint_t           max;
    ngx_http_osb_line_t *line;

    /* of a text: where it is in the record, what it is called, and has */
    size_t                offset;
    const char           *noun;
    ngx_http_osb_chars_t *chars;

    ngx_http_osb_parse_t *parse;

    /* a secret has the second one for those who may not see it */
    ngx_http_osb_print_t *print;
    ngx_http_osb_print_t *redact;

    ngx_http_osb_same_t    *same;    /* of what makes a generation */
    ngx_http_osb_revokes_t *revokes; /* of what gives rights */
};


/* record/record.c; ends with a key of NULL */
extern ngx_http_osb_field_t ngx_http_osb_fields[];


/* record/draft.c */

/* Room behind the record, NULL with the fault set if it would be too large. */
void *
ngx_http_osb_draft_alloc(ngx_http_osb_draft_t *draft, size_t size, size_t align,
                         const char *field);

/* Appends a string; NGX_OK, or NGX_ERROR as above. */
ngx_int_t
ngx_http_osb_draft_text(ngx_http_osb_draft_t *draft, ngx_http_osb_text_t *text,
                        ngx_str_t *value, const char *field);

/* The string in the JSON's memory; NGX_ERROR if it is none. */
ngx_int_t
ngx_http_osb_json_text(json_t *value, ngx_str_t *text);


/* record/line.c */

ngx_http_osb_line_t ngx_http_osb_line_text;
ngx_http_osb_line_t ngx_http_osb_line_list;
ngx_http_osb_line_t ngx_http_osb_line_map;
ngx_http_osb_line_t ngx_http_osb_line_flag;

/* PORT NAME VALUE */
ngx_http_osb_line_t ngx_http_osb_line_header;


/* record/fields.c */

ngx_http_osb_parse_t ngx_http_osb_id_parse;
ngx_http_osb_print_t ngx_http_osb_id_print;

/* Any text that has an offset, and characters. */
ngx_http_osb_parse_t ngx_http_osb_text_parse;
ngx_http_osb_print_t ngx_http_osb_text_print;
ngx_http_osb_same_t  ngx_http_osb_text_same;

ngx_uint_t
ngx_http_osb_printable(u_char ch);
ngx_uint_t
ngx_http_osb_host_char(u_char ch);

ngx_http_osb_parse_t   ngx_http_osb_token_parse;
ngx_http_osb_print_t   ngx_http_osb_token_redact;
ngx_http_osb_revokes_t ngx_http_osb_token_revokes;

ngx_http_osb_parse_t   ngx_http_osb_ready_parse;
ngx_http_osb_print_t   ngx_http_osb_ready_print;
ngx_http_osb_revokes_t ngx_http_osb_ready_revokes;

ngx_http_osb_parse_t   ngx_http_osb_state_parse;
ngx_http_osb_print_t   ngx_http_osb_state_print;
ngx_http_osb_same_t    ngx_http_osb_state_same;
ngx_http_osb_revokes_t ngx_http_osb_state_revokes;

ngx_http_osb_parse_t   ngx_http_osb_expires_parse;
ngx_http_osb_print_t   ngx_http_osb_expires_print;
ngx_http_osb_revokes_t ngx_http_osb_expires_revokes;

ngx_http_osb_parse_t ngx_http_osb_keep_parse;
ngx_http_osb_print_t ngx_http_osb_keep_print;


/* record/source.c; it stands right behind the id */

ngx_http_osb_parse_t ngx_http_osb_source_parse;
ngx_http_osb_print_t ngx_http_osb_source_print;


/* record/ports.c */

ngx_http_osb_parse_t   ngx_http_osb_endpoint_field_parse;
ngx_http_osb_print_t   ngx_http_osb_endpoint_field_print;
ngx_http_osb_same_t    ngx_http_osb_endpoint_field_same;
ngx_http_osb_revokes_t ngx_http_osb_endpoint_field_revokes;

ngx_http_osb_parse_t   ngx_http_osb_expose_parse;
ngx_http_osb_print_t   ngx_http_osb_expose_print;
ngx_http_osb_same_t    ngx_http_osb_expose_same;
ngx_http_osb_revokes_t ngx_http_osb_expose_revokes;

ngx_http_osb_parse_t   ngx_http_osb_port_map_parse;
ngx_http_osb_print_t   ngx_http_osb_port_map_print;
ngx_http_osb_same_t    ngx_http_osb_port_map_same;
ngx_http_osb_revokes_t ngx_http_osb_port_map_revokes;


/* record/headers.c */

ngx_http_osb_parse_t ngx_http_osb_headers_parse;
ngx_http_osb_print_t ngx_http_osb_headers_print;
ngx_http_osb_print_t ngx_http_osb_headers_redact;


/* record/policy.c */

ngx_http_osb_parse_t   ngx_http_osb_policy_parse;
ngx_http_osb_print_t   ngx_http_osb_policy_print;
ngx_http_osb_revokes_t ngx_http_osb_policy_revokes;

/* The record with another policy, in the pool; NULL if memory is short. */
ngx_http_osb_record_t *
ngx_http_osb_record_policy(ngx_pool_t *pool, ngx_http_osb_record_t *record,
                           ngx_str_t *policy);

/*
 * A policy's document as compact JSON text, in the pool.  NGX_DECLINED if it is
 * larger than a record can hold.
 */
ngx_int_t
ngx_http_osb_policy_text(ngx_pool_t *pool, const struct rules *rules,
                         ngx_str_t *text);


/* record/policy_block.c */

/* Notes that the next record to be declared names a policy. */
ngx_int_t
ngx_http_osb_policy_use(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf,
                        ngx_str_t *name);


/* record/endpoint.c */

/*
 * Reads "10.0.0.5", "[fd00::5]", "name.example" or "unix:/path"; with_port,
 * all but the last end in ":port".  Sets kind and port; *text is what the
 * endpoint is to have as its text: an address, in addr, or the part of the
 * value that is a host name or a path.  Returns NULL, or a sentence saying what
 * is wrong.
 */
const char *
ngx_http_osb_endpoint_parse(ngx_http_osb_endpoint_t *endpoint, ngx_str_t value,
                            ngx_uint_t with_port, u_char *addr,
                            ngx_str_t *text);


/* record/time.c */

/*
 * Reads a time of RFC 3339, in any zone; a fraction of a second is dropped.
 * Returns unix seconds, negative before 1970; NGX_HTTP_OSB_TIME_NONE if
 * the text is no time, or not in the years 0001 to 9999 of UTC.
 */
int64_t
ngx_http_osb_time_parse(ngx_str_t *text);


static ngx_inline ngx_http_osb_text_t *
ngx_http_osb_field_text(ngx_http_osb_record_t *record,
                        ngx_http_osb_field_t  *field)
{
    return (ngx_http_osb_text_t *) ((u_char *) record + field->offset);
}


#endif /* _NGX_HTTP_OSB_RECORD_INNER_H_INCLUDED_ */
