/* Adding to a sidecar. expat finds the places; the old bytes are then copied around them, so that
 * what other programs keep in the file survives to the byte. */
#include "image/xmp_merge.h"
#include "core/buf.h"
#include "core/mem.h"
#include "image/words.h"
#include "image/xmp_parser.h"
#include <string.h>
#include <strings.h>

#define RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define DC "http://purl.org/dc/elements/1.1/"
enum { MAX_DEPTH = 64 };

/* An element that text can be put at the end of. */
struct place {
    bool found, empty; /* <a/>: its "/>" must become a ">" and an end tag */
    size_t tag, tag_size, end;
};
struct reading {
    struct xmp_parser xml; /* first */
    const char *old;
    int depth, rdf; /* elements open; the depth of rdf:RDF, 0 = outside */
    struct place root, description, subject;
    bool in_subject, in_item, has_subject, has_description, foreign;
    struct image_words words; /* keywords that are there */
    size_t n;
    char item[IMAGE_KEYWORD_MAX * 2];
};

static void open_place(struct reading *r, struct place *p)
{
    p->tag = (size_t)XML_GetCurrentByteIndex(r->xml.parser);
    p->tag_size = (size_t)XML_GetCurrentByteCount(r->xml.parser);
    p->found = p->tag_size >= 4;
    p->empty = p->found && r->old[p->tag + p->tag_size - 2] == '/';
}

static void close_place(struct reading *r, struct place *p)
{
    if (p->found && !p->end)
        p->end = p->empty ? p->tag + p->tag_size : (size_t)XML_GetCurrentByteIndex(r->xml.parser);
}

static void look_at_attributes(struct reading *r, const char **attributes)
{
    for (; *attributes; attributes += 2) {
        r->has_description |= !strcmp(attributes[0], DC "description");
        r->xml.refused |= !strcmp(attributes[0], DC "subject"); /* a list has no such form */
    }
}

static bool is_array(const char *name)
{
    return !strcmp(name, RDF "Bag") || !strcmp(name, RDF "Seq");
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    struct reading *r = ctx;
    int level = r->rdf ? r->depth - r->rdf : -1;
    if (++r->depth > MAX_DEPTH) {
        xmp_parser_refuse(&r->xml);
    } else if (!r->rdf && !r->root.found && !strcmp(name, RDF "RDF")) {
        r->rdf = r->depth;
        open_place(r, &r->root);
    } else if (level == 0 && !strcmp(name, RDF "Description")) {
        look_at_attributes(r, attributes);
        if (!r->description.found)
            open_place(r, &r->description);
    } else if (level == 1) {
        r->in_subject = !strcmp(name, DC "subject");
        r->has_subject |= r->in_subject;
        r->has_description |= !strcmp(name, DC "description");
    } else if (level == 2 && r->in_subject && is_array(name)) {
        if (!r->subject.found)
            open_place(r, &r->subject);
    } else if (level == 3 && r->in_subject && !strcmp(name, RDF "li")) {
        r->in_item = true;
        r->n = 0;
    }
}

static void XMLCALL on_end(void *ctx, const char *name)
{
    struct reading *r = ctx;
    int level = r->rdf ? r->depth - r->rdf : -1;
    (void)name;
    if (level == 4 && r->in_item) {
        image_words_add(&r->words, r->item, r->n);
        r->in_item = false;
    } else if (level == 3 && r->in_subject) {
        close_place(r, &r->subject);
    } else if (level == 2) {
        r->in_subject = false;
    } else if (level == 1) {
        close_place(r, &r->description);
    } else if (level == 0) {
        close_place(r, &r->root);
        r->rdf = 0;
    }
    r->depth--;
}

static void XMLCALL on_text(void *ctx, const char *s, int len)
{
    struct reading *r = ctx;
    size_t n = (size_t)len, room = sizeof r->item - r->n;
    if (!r->in_item)
        return;
    n = n < room ? n : room;
    memcpy(r->item + r->n, s, n);
    r->n += n;
}

static void XMLCALL on_declaration(void *ctx, const char *version, const char *encoding, int alone)
{
    struct reading *r = ctx;
    (void)version, (void)alone;
    r->foreign |= encoding && strcasecmp(encoding, "utf-8") != 0;
}

static enum status read_old(struct reading *r, const char *old, size_t size, const char *name,
                            struct error *err)
{
    if (size >= 2 && (!memcmp(old, "\xFE\xFF", 2) || !memcmp(old, "\xFF\xFE", 2)))
        r->foreign = true;
    r->old = old;
    if (!xmp_parser_open(&r->xml, on_start, on_end, on_text))
        return error_set(err, ST_NOMEM, "out of memory");
    XML_SetXmlDeclHandler(r->xml.parser, on_declaration);
    bool ok = XML_Parse(r->xml.parser, old, (int)size, true) == XML_STATUS_OK;
    XML_ParserFree(r->xml.parser);
    if (!r->foreign && (!ok || r->xml.refused || !r->root.end))
        return error_set(err, ST_FORMAT, "%s: is no XMP that could be added to; it was left alone",
                         name);
    if (r->foreign || (r->has_subject && !r->subject.end))
        return error_set(err, ST_UNSUPPORTED,
                         "%s: is written in a way that cannot be added to; it was left alone",
                         name);
    return ST_OK;
}

/* The prefix of a tag's name with its colon, as long as *n. */
static const char *prefix_of(const struct reading *r, const struct place *p, size_t *n)
{
    const char *name = r->old + p->tag + 1;
    size_t len = strcspn(name, " \t\r\n/>:");
    *n = name[len] == ':' ? len + 1 : 0;
    return name;
}

static void put_text(struct buf *b, const char *text, bool lines)
{
    char clean[sizeof((struct image_words *)0)->description];
    image_words_text(clean, sizeof clean, text, strlen(text), lines);
    for (const char *s = clean; *s; s++)
        if (*s == '&')
            buf_puts(b, "&amp;");
        else if (*s == '<')
            buf_puts(b, "&lt;");
        else if (*s == '>')
            buf_puts(b, "&gt;");
        else
            buf_putc(b, *s);
}

/* Which of the keywords are not there yet; what is added is noted as there. */
static size_t put_items(struct buf *b, struct image_words *there, const struct xmp_words *add,
                        const char *prefix, int n_prefix)
{
    size_t added = 0;
    for (size_t i = 0; i < add->n; i++) {
        uint32_t before = there->keywords_size;
        image_words_add(there, add->keyword[i], strlen(add->keyword[i]));
        if (there->keywords_size == before)
            continue;
        buf_printf(b, "\n     <%.*sli>", n_prefix, prefix);
        put_text(b, add->keyword[i], false);
        buf_printf(b, "</%.*sli>", n_prefix, prefix);
        added++;
    }
    return added;
}

/* The properties that are missing, for the end of an rdf:Description; false: none are. */
static bool put_properties(struct buf *b, struct reading *r, const struct xmp_words *add,
                           const char *prefix, int n)
{
    struct buf items;
    bool any = false;
    if (add->description && add->description[0] && !r->has_description) {
        buf_printf(b,
                   "\n   <dc:description xmlns:dc=\"" DC "\">\n    <%.*sAlt>\n     "
                   "<%.*sli xml:lang=\"x-default\">",
                   n, prefix, n, prefix);
        put_text(b, add->description, true);
        buf_printf(b, "</%.*sli>\n    </%.*sAlt>\n   </dc:description>", n, prefix, n, prefix);
        any = true;
    }
    buf_init(&items, IMAGE_SIDECAR_MAX);
    if (!r->subject.found && put_items(&items, &r->words, add, prefix, n)) {
        buf_printf(b,
                   "\n   <dc:subject xmlns:dc=\"" DC
                   "\">\n    <%.*sBag>%s\n    </%.*sBag>\n   </dc:subject>",
                   n, prefix, items.data ? items.data : "", n, prefix);
        any = true;
    }
    b->failed |= items.failed;
    buf_release(&items);
    return any;
}

struct insertion {
    const struct place *place;
    struct buf text;
    bool any;
};

/* `from` up to the place's end, then the new text. Returns where the old text goes on. */
static size_t put_insertion(struct buf *b, const struct reading *r, const struct insertion *in,
                            size_t from)
{
    const struct place *p = in->place;
    size_t end = p->end;
    if (p->empty)
        end = p->tag + p->tag_size - 2;
    else
        while (end > p->tag + p->tag_size &&
               strchr(" \t\r\n", r->old[end - 1])) /* keeps the layout */
            end--;
    buf_append(b, r->old + from, end - from);
    if (p->empty)
        buf_putc(b, '>');
    buf_puts(b, in->text.data ? in->text.data : "");
    if (p->empty) {
        const char *name = r->old + p->tag + 1;
        buf_printf(b, "\n</%.*s>", (int)strcspn(name, " \t\r\n/>"), name);
        return p->end;
    }
    return end;
}

static enum status add_to_old(struct buf *b, struct reading *r, size_t size,
                              const struct xmp_words *add, const char *name, struct error *err)
{
    struct insertion item = {.place = &r->subject}, property = {.place = &r->description};
    size_t n = 0, at = 0;
    enum status st = ST_OK;
    buf_init(&item.text, IMAGE_SIDECAR_MAX);
    buf_init(&property.text, IMAGE_SIDECAR_MAX);
    if (r->subject.found) {
        const char *prefix = prefix_of(r, &r->subject, &n);
        item.any = put_items(&item.text, &r->words, add, prefix, (int)n) > 0;
    }
    if (!r->description.found) { /* at the end of rdf:RDF, within one of our own */
        property.place = &r->root;
        buf_puts(&property.text, "\n  <rdf:Description xmlns:rdf=\"" RDF "\" rdf:about=\"\">");
        property.any = put_properties(&property.text, r, add, "rdf:", 4);
        buf_puts(&property.text, "\n  </rdf:Description>");
    } else {
        const char *prefix = prefix_of(r, &r->description, &n);
        property.any = put_properties(&property.text, r, add, prefix, (int)n);
    }
    bool subject_first = r->subject.end < property.place->end;
    const struct insertion *order[] = {subject_first ? &item : &property,
                                       subject_first ? &property : &item};
    for (int i = 0; i < 2; i++)
        if (order[i]->any)
            at = put_insertion(b, r, order[i], at);
    if (item.text.failed || property.text.failed)
        st = error_set(err, ST_LIMIT, "%s: would be larger than %d MB", name,
                       IMAGE_SIDECAR_MAX >> 20);
    else if (item.any || property.any)
        buf_append(b, r->old + at, size - at);
    buf_release(&item.text);
    buf_release(&property.text);
    return st;
}

static void write_new(struct buf *b, struct reading *r, const struct xmp_words *add)
{
    buf_puts(b, "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"Eidetic\">\n"
                " <rdf:RDF xmlns:rdf=\"" RDF "\">\n  <rdf:Description rdf:about=\"\">");
    bool any = put_properties(b, r, add, "rdf:", 4);
    buf_puts(b, "\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>\n");
    if (!any)
        buf_clear(b);
}

enum status xmp_merge(char **text, size_t *size, const char *old, size_t old_size,
                      const struct xmp_words *add, const char *name, struct error *err)
{
    struct buf b;
    *text = NULL;
    *size = 0;
    struct reading *r = mem_zalloc(sizeof *r);
    if (!r)
        return error_set(err, ST_NOMEM, "out of memory");
    buf_init(&b, IMAGE_SIDECAR_MAX);
    enum status st = ST_OK;
    if (!old)
        write_new(&b, r, add);
    else if (old_size > IMAGE_SIDECAR_MAX)
        st = error_set(err, ST_LIMIT, "%s: is larger than %d MB", name, IMAGE_SIDECAR_MAX >> 20);
    else if (!(st = read_old(r, old, old_size, name, err)))
        st = add_to_old(&b, r, old_size, add, name, err);
    if (!st && b.failed)
        st = error_set(err, ST_NOMEM, "%s: out of memory, or larger than %d MB", name,
                       IMAGE_SIDECAR_MAX >> 20);
    if (!st && b.len) {
        *size = b.len;
        *text = buf_take(&b);
    }
    buf_release(&b);
    mem_free(r);
    return st;
}
