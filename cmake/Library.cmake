# msearch_library(NAME DEPENDS other-folders... LINK libraries...)
#
# The library of one folder below src/: every *.cc in it, except *_test.cc, which become the
# folder's test program NAME_test. DEPENDS names the folders that it may include; the test of the
# arrows (test/arrows_test.cc) holds the includes against the table there.
function(msearch_library NAME)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK;TEST_LINK" ${ARGN})
  file(GLOB SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(TESTS ${SOURCES})
  list(FILTER SOURCES EXCLUDE REGEX "_test\\.cc$")
  list(FILTER TESTS INCLUDE REGEX "_test\\.cc$")
  add_library(msearch_${NAME} STATIC ${SOURCES})
  target_include_directories(msearch_${NAME} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  msearch_warnings(msearch_${NAME})
  foreach(DEPENDENCY ${ARG_DEPENDS})
    target_link_libraries(msearch_${NAME} PUBLIC msearch_${DEPENDENCY})
  endforeach()
  target_link_libraries(msearch_${NAME} PUBLIC ${ARG_LINK} Threads::Threads)
  if(TESTS)
    msearch_test(${NAME}_test SOURCES ${TESTS} LINK msearch_${NAME} ${ARG_TEST_LINK})
  endif()
endfunction()

# msearch_test(NAME SOURCES files... LINK targets... [LOCKED pattern LOCK name]): a GoogleTest
# program, each of its tests known to CTest by its own name. Those that the pattern names run
# while nothing else runs that has the lock of that name.
function(msearch_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT;LOCKED;LOCK" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(MSEARCH_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  target_include_directories(${NAME} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/test)
  target_compile_definitions(${NAME} PRIVATE MSEARCH_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             MSEARCH_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_link_libraries(${NAME} PRIVATE ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  msearch_warnings(${NAME})
  if(NOT ARG_LOCKED)
    gtest_discover_tests(${NAME} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${ARG_TIMEOUT})
    return()
  endif()
  gtest_discover_tests(${NAME} DISCOVERY_MODE PRE_TEST TEST_FILTER "-${ARG_LOCKED}"
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  gtest_discover_tests(${NAME} DISCOVERY_MODE PRE_TEST TEST_FILTER "${ARG_LOCKED}"
                       TEST_LIST ${NAME}_LOCKED_TESTS
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} RESOURCE_LOCK ${ARG_LOCK})
endfunction()

function(msearch_warnings NAME)
  target_compile_options(${NAME} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                         -Woverloaded-virtual -Wno-missing-field-initializers)
  if(MSEARCH_WERROR)
    target_compile_options(${NAME} PRIVATE -Werror)
  endif()
endfunction()

find_package(GTest REQUIRED)
include(GoogleTest)
