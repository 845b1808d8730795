/* XMP through expat, as much of RDF as XMP uses (ISO 16684-1): properties of rdf:Description, as
 * attributes, as text, or as the items of an array; text may also stand in rdf:value, with
 * qualifiers beside it. Surprising: nothing is resolved or fetched, and a DOCTYPE ends the reading,
 * so that no entity is ever expanded. */
#include "core/mem.h"
#include "image/words.h"
#include "image/xmp_parser.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define DC "http://purl.org/dc/elements/1.1/"
#define XMP "http://ns.adobe.com/xap/1.0/"
#define PHOTOSHOP "http://ns.adobe.com/photoshop/1.0/"
#define EXIF "http://ns.adobe.com/exif/1.0/"
#define LIGHTROOM "http://ns.adobe.com/lightroom/1.0/"
#define GOOGLE "http://ns.google.com/photos/1.0/camera/"
#define IPTC_EXT "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

enum { MAX_DEPTH = 64, VALUE = 8192 };
enum property {
    NONE,
    TITLE,
    HEADLINE,
    DESCRIPTION,
    KEYWORD,
    HIERARCHY, /* "Places|Europe|Vienna" */
    RATING,
    TAKEN,
    CREATED, /* the file, not the picture */
    LATITUDE,
    LONGITUDE,
    ALTITUDE,
    ALTITUDE_SIDE,
    BURST,
};

static const struct {
    const char *name; /* with its namespace, as expat joins them */
    enum property property;
} properties[] = {
    {DC "title", TITLE},
    {PHOTOSHOP "Headline", HEADLINE},
    {DC "description", DESCRIPTION},
    {DC "subject", KEYWORD},
    {IPTC_EXT "PersonInImage", KEYWORD},
    {LIGHTROOM "hierarchicalSubject", HIERARCHY},
    {XMP "Rating", RATING},
    {EXIF "DateTimeOriginal", TAKEN},
    {PHOTOSHOP "DateCreated", TAKEN},
    {XMP "CreateDate", CREATED},
    {EXIF "GPSLatitude", LATITUDE},
    {EXIF "GPSLongitude", LONGITUDE},
    {EXIF "GPSAltitude", ALTITUDE},
    {EXIF "GPSAltitudeRef", ALTITUDE_SIDE},
    {GOOGLE "BurstID", BURST},
};

struct reading {
    struct xmp_parser xml; /* first */
    struct image_words *w; /* what this text says */
    char headline[sizeof((struct image_words *)0)->title];
    char created[32];
    bool has_lat, has_lon, is_below; /* the sea */
    int depth, rdf;                  /* elements open; the depth of rdf:RDF, 0 = outside */
    enum property property;
    bool item, is_default; /* within rdf:li; whose xml:lang is x-default */
    bool from_default;     /* the property's value is the x-default one */
    int value_level;       /* where an rdf:value of this property or item would lie; 0 = nowhere */
    bool in_value, has_value; /* within that; it was there, and what is beside it are qualifiers */
    size_t n;
    char value[VALUE];
};

static enum property find_property(const char *name)
{
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (!strcmp(name, properties[i].name))
            return properties[i].property;
    return NONE;
}

/* "48,12.5083N", "48,12,30N" */
static bool read_angle(double *v, const char *text, char plus, char minus, double most)
{
    double part[3] = {0}, angle;
    int n = 0;
    char *end = (char *)(uintptr_t)text;
    do {
        part[n] = strtod(text, &end);
        if (end == text || !(part[n] >= 0))
            return false;
        n++;
        text = end + 1;
    } while (*end == ',' && n < 3);
    angle = part[0] + part[1] / 60 + part[2] / 3600;
    if (!(angle <= most) || (*end != plus && *end != minus))
        return false;
    *v = *end == minus ? -angle : angle;
    return true;
}

/* "17430/100", as EXIF has it; some write "174.3". Its sign is a property of its own. */
static double read_altitude(const char *text)
{
    char *end;
    double v = strtod(text, &end), by = 1;
    if (end != text && *end == '/') {
        text = end + 1;
        by = strtod(text, &end);
    }
    v = end != text && by > 0 && v >= 0 ? v / by : 0;
    return isfinite(v) ? v : 0;
}

static void add_levels(struct image_words *w, const char *text, size_t n)
{
    for (const char *end = text + n; text < end;) {
        const char *bar = memchr(text, '|', (size_t)(end - text));
        size_t len = (size_t)((bar ? bar : end) - text);
        image_words_add(w, text, len);
        text += len + 1;
    }
}

/* Of several languages the default one, else the first. */
static void put_text(struct reading *r, char *dst, size_t cap, bool lines)
{
    if (!dst[0] || (r->is_default && !r->from_default))
        image_words_text(dst, cap, r->value, r->n, lines);
    r->from_default |= r->is_default;
}

/* Some write "4.0". ISO 16684-1 has 0 for "unrated", exiftool shows it as any other value, and what
 * digiKam or darktable write for a picture without stars is 0. So it says something: in a sidecar
 * it goes before the stars in the picture, which somebody has taken away. */
static void take_rating(struct image_words *w, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v >= -1 && v <= 5))
        return;
    w->rating = v < 0 ? IMAGE_RATING_REJECTED : (int)v;
    w->is_rated = true;
}

static void put_value(struct reading *r, enum property property)
{
    struct image_words *w = r->w;
    char date[32];
    r->value[r->n] = 0;
    switch (property) {
    case NONE:
        return;
    case TITLE:
        put_text(r, w->title, sizeof w->title, false);
        return;
    case HEADLINE:
        put_text(r, r->headline, sizeof r->headline, false);
        return;
    case DESCRIPTION:
        put_text(r, w->description, sizeof w->description, true);
        return;
    case KEYWORD:
        image_words_add(w, r->value, r->n);
        return;
    case HIERARCHY:
        add_levels(w, r->value, r->n);
        return;
    case RATING:
        take_rating(w, r->value);
        return;
    case TAKEN:
        if (image_words_date(date, r->value, r->n) &&
            (!w->is_taken || strlen(date) > strlen(w->taken))) {
            memcpy(w->taken, date, sizeof date);
            w->is_taken = true;
        }
        return;
    case CREATED:
        image_words_date(r->created, r->value, r->n);
        return;
    case LATITUDE:
        r->has_lat = read_angle(&w->lat, r->value, 'N', 'S', 90);
        return;
    case LONGITUDE:
        r->has_lon = read_angle(&w->lon, r->value, 'E', 'W', 180);
        return;
    case ALTITUDE:
        w->alt = read_altitude(r->value);
        return;
    case ALTITUDE_SIDE:
        r->is_below = strtol(r->value, NULL, 10) == 1;
        return;
    case BURST:
        image_words_text(w->burst, sizeof w->burst, r->value, r->n, false);
        return;
    }
}

static void put_attributes(struct reading *r, const char **attributes)
{
    for (; *attributes; attributes += 2) {
        enum property p = find_property(attributes[0]);
        size_t n = strnlen(attributes[1], VALUE - 1);
        if (p == NONE)
            continue;
        r->is_default = r->from_default = false;
        memcpy(r->value, attributes[1], n);
        r->n = n;
        put_value(r, p);
    }
    r->n = 0;
}

static bool is_default_language(const char **attributes)
{
    for (; *attributes; attributes += 2)
        if (!strcmp(attributes[0], "http://www.w3.org/XML/1998/namespacelang"))
            return !strcmp(attributes[1], "x-default");
    return false;
}

/* rdf:value as an attribute of a property, an item, or the rdf:Description in one. */
static void take_value_attribute(struct reading *r, const char **attributes)
{
    for (; *attributes; attributes += 2)
        if (!strcmp(attributes[0], RDF "value") && !r->has_value) {
            r->n = strnlen(attributes[1], VALUE - 1);
            memcpy(r->value, attributes[1], r->n);
            r->has_value = true;
        }
}

static void begin_value(struct reading *r, int level)
{
    r->n = 0;
    r->in_value = r->has_value = false;
    r->value_level = level;
}

/* Qualified values have two forms: rdf:value right in the property or item, which then has
 * rdf:parseType="Resource", or in an rdf:Description in it. */
static void look_for_value(struct reading *r, int level, const char *name, const char **attributes)
{
    if (level != r->value_level || r->has_value)
        return;
    if (!strcmp(name, RDF "value")) {
        r->n = 0;
        r->in_value = r->has_value = true;
        r->is_default |= is_default_language(attributes);
    } else if (level % 2 == 0 && !strcmp(name, RDF "Description")) {
        r->value_level++;
        take_value_attribute(r, attributes);
    }
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    struct reading *r = ctx;
    int level = r->rdf ? r->depth - r->rdf : 0; /* of what this element lies in: 0 = rdf:RDF */
    if (++r->depth > MAX_DEPTH) {
        xmp_parser_refuse(&r->xml);
        return;
    }
    if (!r->rdf) {
        if (!strcmp(name, RDF "RDF"))
            r->rdf = r->depth;
    } else if (level == 0 && !strcmp(name, RDF "Description")) {
        put_attributes(r, attributes);
    } else if (level == 1) {
        r->property = find_property(name);
        r->from_default = r->is_default = false;
        begin_value(r, 2);
        take_value_attribute(r, attributes);
    } else if (level == 3 && !strcmp(name, RDF "li")) {
        r->item = true;
        r->is_default = is_default_language(attributes);
        begin_value(r, 4);
        take_value_attribute(r, attributes);
    } else if (level >= 2) {
        if (level == 3 && !r->has_value)
            r->n = 0;
        look_for_value(r, level, name, attributes);
    }
}

static void XMLCALL on_end(void *ctx, const char *name)
{
    struct reading *r = ctx;
    int level = r->rdf ? r->depth - r->rdf : 0; /* of this element: 2 = property, 4 = item */
    (void)name;
    if (r->in_value && level == r->value_level + 1) {
        r->in_value = false;
    } else if (level == 4 && r->item) {
        put_value(r, r->property);
        r->item = r->is_default = false;
        begin_value(r, 0);
    } else if (level == 2) {
        if (r->n) /* text without an array */
            put_value(r, r->property);
        r->property = NONE;
        r->n = 0;
        r->is_default = false;
    } else if (level == 0) {
        r->rdf = 0;
    }
    r->depth--;
}

static void XMLCALL on_text(void *ctx, const char *s, int len)
{
    struct reading *r = ctx;
    size_t n = (size_t)len, room = VALUE - 1 - r->n;
    int level = r->rdf ? r->depth - r->rdf : 0;
    bool plain = !r->has_value && (level == 2 || (level == 4 && r->item));
    bool qualified = r->in_value && level == r->value_level + 1;
    if (r->property == NONE || (!plain && !qualified))
        return;
    if (level == 2 && !r->n) /* blanks between the tags of an array */
        while (n && strchr(" \t\r\n", *s))
            s++, n--;
    n = n < room ? n : room;
    memcpy(r->value + r->n, s, n);
    r->n += n;
}

static void finish(struct reading *r, struct image_words *w)
{
    struct image_words *own = r->w;
    if (!own->title[0])
        memcpy(own->title, r->headline, sizeof own->title);
    if (!own->taken[0])
        memcpy(own->taken, r->created, sizeof own->taken);
    own->has_gps = r->has_lat && r->has_lon;
    if (r->is_below)
        own->alt = -own->alt;
    image_words_merge(w, own);
}

bool xmp_read(struct image_words *w, const uint8_t *p, size_t n)
{
    struct reading *r = NULL;
    bool ok = false;
    while (n && (!p[n - 1] || strchr(" \t\r\n", p[n - 1]))) /* room that writers leave */
        n--;
    if (!n || n > IMAGE_SIDECAR_MAX)
        return false;
    r = mem_zalloc(sizeof *r);
    if (r)
        r->w = mem_zalloc(sizeof *r->w);
    if (r && r->w && xmp_parser_open(&r->xml, on_start, on_end, on_text)) {
        ok = XML_Parse(r->xml.parser, (const char *)p, (int)n, true) == XML_STATUS_OK &&
             !r->xml.refused;
        finish(r, w);
        XML_ParserFree(r->xml.parser);
    }
    if (r)
        mem_free(r->w);
    mem_free(r);
    return ok;
}
