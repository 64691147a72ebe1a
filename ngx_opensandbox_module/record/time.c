/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <time.h>


/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what can be printed */
#define NGX_HTTP_OSB_TIME_MIN (-62135596800LL)
#define NGX_HTTP_OSB_TIME_MAX 253402300799LL


static u_char *
ngx_http_osb_time_digits(ngx_str_t *text, int *parts);
static ngx_uint_t
ngx_http_osb_time_exists(int *parts);
static ngx_int_t
ngx_http_osb_time_zone(u_char *p, u_char *last);


int64_t
ngx_http_osb_time_parse(ngx_str_t *text)
{
    int       parts[6];
    u_char   *p, *last;
    int64_t   seconds;
    ngx_int_t zone;
    struct tm tm;

    p = ngx_http_osb_time_digits(text, parts);

    if (p == NULL) {
        return NGX_HTTP_OSB_TIME_NONE;
    }

    last = text->data + text->len;

    if (*p == '.') {
        for (p++; p < last && *p >= '0' && *p <= '9'; p++) { /* void */
        }

        if (p[-1] == '.' || p == last) {
            return NGX_HTTP_OSB_TIME_NONE;
        }
    }

    zone = ngx_http_osb_time_zone(p, last);

    if (zone == NGX_ERROR) {
        return NGX_HTTP_OSB_TIME_NONE;
    }

    if (!ngx_http_osb_time_exists(parts)) {
        return NGX_HTTP_OSB_TIME_NONE;
    }

    ngx_memzero(&tm, sizeof(struct tm));

    tm.tm_year = parts[0] - 1900;
    tm.tm_mon = parts[1] - 1;
    tm.tm_mday = parts[2];
    tm.tm_hour = parts[3];
    tm.tm_min = parts[4];
    tm.tm_sec = parts[5];

    seconds = timegm(&tm) - zone;

    return seconds < NGX_HTTP_OSB_TIME_MIN || seconds > NGX_HTTP_OSB_TIME_MAX
               ? NGX_HTTP_OSB_TIME_NONE
               : seconds;
}


/* "dddd-dd-ddTdd:dd:dd", and at least a character; where that is, or NULL */

static u_char *
ngx_http_osb_time_digits(ngx_str_t *text, int *parts)
{
    int        n;
    ngx_uint_t i;

    static const char format[] = "dddd-dd-ddTdd:dd:dd";

    if (text->len < sizeof(format)) {
        return NULL;
    }

    ngx_memzero(parts, 6 * sizeof(int));

    for (i = 0, n = 0; i < sizeof(format) - 1; i++) {

        if (format[i] == 'd') {
            if (text->data[i] < '0' || text->data[i] > '9') {
                return NULL;
            }

            parts[n] = parts[n] * 10 + (text->data[i] - '0');
            continue;
        }

        if ((format[i] == 'T' ? ngx_toupper(text->data[i]) : text->data[i]) !=
            format[i])
        {
            return NULL;
        }

        n++;
    }

    return text->data + i;
}


/*
 * Year, month, day, hour, minute, second.  The year is judged with the offset;
 * a second of 60 is a leap.
 */

static ngx_uint_t
ngx_http_osb_time_exists(int *parts)
{
    int days;

    static const int months[] = {31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31};

    if (parts[1] < 1 || parts[1] > 12) {
        return 0;
    }

    days = months[parts[1] - 1];

    if (parts[1] == 2 && parts[0] % 4 == 0 &&
        (parts[0] % 100 != 0 || parts[0] % 400 == 0))
    {
        days++;
    }

    return parts[2] >= 1 && parts[2] <= days && parts[3] <= 23 &&
           parts[4] <= 59 && parts[5] <= 60;
}


/* "Z", or "+hh:mm" as seconds east of UTC */

static ngx_int_t
ngx_http_osb_time_zone(u_char *p, u_char *last)
{
    ngx_int_t hours, minutes;

    if (last - p == 1 && ngx_toupper(*p) == 'Z') {
        return 0;
    }

    if (last - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return NGX_ERROR;
    }

    hours = ngx_atoi(p + 1, 2);
    minutes = ngx_atoi(p + 4, 2);

    if (hours == NGX_ERROR || minutes == NGX_ERROR || hours > 23 ||
        minutes > 59) {
        return NGX_ERROR;
    }

    hours = hours * 3600 + minutes * 60;

    return *p == '+' ? hours : -hours;
}


u_char *
ngx_http_osb_time_print(u_char *buf, int64_t seconds)
{
    time_t    when;
    struct tm tm;

    when = (time_t) seconds;

    ngx_memzero(&tm, sizeof(struct tm));
    (void) gmtime_r(&when, &tm);

    return ngx_sprintf(buf, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
}
