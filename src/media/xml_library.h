// libxml2, loaded at run time (see dynamic_library.h): its parsers of HTML and XML, as streams of
// events, so that memory is bounded by the text and no tree is built.
#pragma once

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>

#include "base/result.h"

namespace msearch::media {

struct XmlLibrary {
#define MSEARCH_XML_FUNCTIONS(X) \
  X(htmlCtxtReadMemory)          \
  X(htmlFreeParserCtxt)          \
  X(htmlNewParserCtxt)           \
  X(xmlCtxtReadMemory)           \
  X(xmlFreeDoc)                  \
  X(xmlFreeParserCtxt)           \
  X(xmlInitParser)               \
  X(xmlNewParserCtxt)            \
  X(xmlStopParser)
#define MSEARCH_XML_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_XML_FUNCTIONS(MSEARCH_XML_MEMBER)
#undef MSEARCH_XML_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<XmlLibrary>& Xml();

}  // namespace msearch::media
