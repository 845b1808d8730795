/* cmocka with the headers it wants before it, for every test program. */
#ifndef EIDETIC_TESTS_TEST_H
#define EIDETIC_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

/* Where golden tests compute: on the CPU, or on what EIDETIC_TEST_DEVICE names. */
static inline const char *test_device(void)
{
    const char *name = getenv("EIDETIC_TEST_DEVICE");
    return name ? name : "cpu";
}

#endif
