/* The XML parser of both readers of XMP; private to image/.
 *
 *     struct reading { struct xmp_parser xml; ... } *r;     // first: handlers get its address
 *     if (xmp_parser_open(&r->xml, on_start, on_end, on_text)) ...
 *     ok = XML_Parse(r->xml.parser, ...) == XML_STATUS_OK && !r->xml.refused;
 *     XML_ParserFree(r->xml.parser);
 *
 * Memory is ours, entities are none: a DOCTYPE, which no XMP has, stops it and sets refused. */
#ifndef EIDETIC_IMAGE_XMP_PARSER_H
#define EIDETIC_IMAGE_XMP_PARSER_H

#include <expat.h>
#include <stdbool.h>

struct xmp_parser {
    XML_Parser parser;
    bool refused;
};
/* False: no memory. */
bool xmp_parser_open(struct xmp_parser *x, XML_StartElementHandler start, XML_EndElementHandler end,
                     XML_CharacterDataHandler text);
void xmp_parser_refuse(struct xmp_parser *x); /* for handlers: ends the parse */

#endif
