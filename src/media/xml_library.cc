#include "media/xml_library.h"

#include "media/dynamic_library.h"

namespace msearch::media {
namespace {

Result<XmlLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libxml2.so.2"));
  XmlLibrary xml;
#define MSEARCH_XML_FIND(name)                                           \
  if (!library.Find(#name, xml.name)) {                                  \
    return Error{Code::kUnsupported, "libxml2: has no function " #name}; \
  }
  MSEARCH_XML_FUNCTIONS(MSEARCH_XML_FIND)
#undef MSEARCH_XML_FIND
  xml.xmlInitParser();
  return xml;
}

}  // namespace

const Result<XmlLibrary>& Xml() {
  static const Result<XmlLibrary> library = Load();
  return library;
}

}  // namespace msearch::media
