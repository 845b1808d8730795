/* cmocka with the headers it wants before it, for every test program. */
#ifndef EIDETIC_TESTS_TEST_H
#define EIDETIC_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
