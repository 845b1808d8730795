/* See color.h. Surprising: whether a profile is sRGB is told by its primaries and curves. Names of
 * profiles lie, dozens of sRGB profiles differ byte for byte, and to prepare a conversion costs
 * 2.5 ms. */
#include "image/color.h"
#include <lcms2.h>
#include <math.h>
#include <string.h>

#define PROFILE_MAX (16 << 20)

struct transform {
    cmsContext context;
    cmsHTRANSFORM t;
};

static void say_nothing(cmsContext c, cmsUInt32Number code, const char *text)
{
    (void)c;
    (void)code;
    (void)text;
}

static void transform_close(struct transform *x)
{
    if (x->t)
        cmsDeleteTransform(x->t);
    if (x->context)
        cmsDeleteContext(x->context);
    *x = (struct transform){0};
}

/* Primaries adapted to D50, and the curve, as IEC 61966-2-1 has them. */
static bool is_srgb(cmsHPROFILE p)
{
    static const struct {
        cmsTagSignature colour, curve;
        double xyz[3];
    } want[3] = {{cmsSigRedColorantTag, cmsSigRedTRCTag, {0.4361, 0.2225, 0.0139}},
                 {cmsSigGreenColorantTag, cmsSigGreenTRCTag, {0.3851, 0.7169, 0.0971}},
                 {cmsSigBlueColorantTag, cmsSigBlueTRCTag, {0.1431, 0.0606, 0.7141}}};
    if (cmsIsTag(p, cmsSigAToB0Tag))
        return false;
    for (int i = 0; i < 3; i++) {
        const cmsCIEXYZ *c = cmsReadTag(p, want[i].colour);
        const cmsToneCurve *t = cmsReadTag(p, want[i].curve);
        if (!c || !t || fabs(c->X - want[i].xyz[0]) > 0.002 ||
            fabs(c->Y - want[i].xyz[1]) > 0.002 || fabs(c->Z - want[i].xyz[2]) > 0.002)
            return false;
        for (int v = 0; v <= 16; v++) {
            double x = v / 16.0, y = x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
            if (fabs(cmsEvalToneCurveFloat(t, (float)x) - y) > 0.002)
                return false;
        }
    }
    return true;
}

static bool is_device(cmsHPROFILE p)
{
    cmsProfileClassSignature kind = cmsGetDeviceClass(p);
    return kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass ||
           kind == cmsSigColorSpaceClass;
}

/* False: nothing to do, or nothing that can be done. */
static bool transform_open(struct transform *x, const uint8_t *icc, size_t n,
                           cmsColorSpaceSignature space, cmsUInt32Number format)
{
    cmsHPROFILE from, to = NULL;
    *x = (struct transform){0};
    if (!n || n > PROFILE_MAX || !(x->context = cmsCreateContext(NULL, NULL)))
        return false;
    cmsSetLogErrorHandlerTHR(x->context, say_nothing);
    from = cmsOpenProfileFromMemTHR(x->context, icc, (cmsUInt32Number)n);
    if (from && cmsGetColorSpace(from) == space && is_device(from) &&
        !(space == cmsSigRgbData && is_srgb(from)))
        to = cmsCreate_sRGBProfileTHR(x->context);
    if (to)
        x->t =
            cmsCreateTransformTHR(x->context, from, format, to, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (to)
        cmsCloseProfile(to);
    if (from)
        cmsCloseProfile(from);
    if (!x->t)
        transform_close(x);
    return x->t != NULL;
}

/* Grey profiles say what one number means: 256 answers, whatever the size of the picture. */
static void apply_grey(struct image *img, const struct transform *x)
{
    uint8_t in[256], out[256][3];
    size_t n = (size_t)img->width * (size_t)img->height;
    for (int i = 0; i < 256; i++)
        in[i] = (uint8_t)i;
    cmsDoTransform(x->t, in, out, 256);
    for (size_t i = 0; i < n; i++)
        memcpy(img->data + 3 * i, out[img->data[3 * i]], 3);
}

static bool is_grey(const struct image *img)
{
    size_t n = (size_t)img->width * (size_t)img->height;
    for (size_t i = 0; i < n; i++)
        if (img->data[3 * i] != img->data[3 * i + 1] || img->data[3 * i] != img->data[3 * i + 2])
            return false;
    return true;
}

void color_to_srgb(struct image *img, const uint8_t *icc, size_t n)
{
    struct transform x;
    if (transform_open(&x, icc, n, cmsSigRgbData, TYPE_RGB_8)) {
        size_t stride = (size_t)img->width * 3;
        for (int y = 0; y < img->height; y++)
            cmsDoTransform(x.t, img->data + (size_t)y * stride, img->data + (size_t)y * stride,
                           (cmsUInt32Number)img->width);
    } else if (transform_open(&x, icc, n, cmsSigGrayData, TYPE_GRAY_8) && is_grey(img)) {
        apply_grey(img, &x);
    }
    transform_close(&x);
}

bool color_lab_to_srgb(struct image *img)
{
    struct transform x = {.context = cmsCreateContext(NULL, NULL)};
    cmsHPROFILE from = x.context ? cmsCreateLab4ProfileTHR(x.context, NULL) : NULL;
    cmsHPROFILE to = from ? cmsCreate_sRGBProfileTHR(x.context) : NULL;
    size_t stride = (size_t)img->width * 3;
    if (to)
        x.t = cmsCreateTransformTHR(x.context, from, TYPE_Lab_8, to, TYPE_RGB_8, INTENT_PERCEPTUAL,
                                    0);
    if (to)
        cmsCloseProfile(to);
    if (from)
        cmsCloseProfile(from);
    bool ok = x.t != NULL;
    for (int y = 0; ok && y < img->height; y++)
        cmsDoTransform(x.t, img->data + (size_t)y * stride, img->data + (size_t)y * stride,
                       (cmsUInt32Number)img->width);
    transform_close(&x);
    return ok;
}

void color_cmyk_init(struct color_cmyk *c, const uint8_t *icc, size_t n, bool inverted)
{
    struct transform x;
    transform_open(&x, icc, n, cmsSigCmykData, inverted ? TYPE_CMYK_8_REV : TYPE_CMYK_8);
    *c = (struct color_cmyk){x.context, x.t, inverted};
}

void color_cmyk_release(struct color_cmyk *c)
{
    transform_close(&(struct transform){c->context, c->transform});
    *c = (struct color_cmyk){0};
}

/* a * b / 255, rounded as Pillow rounds it. */
static inline unsigned mul_255(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return (t + (t >> 8)) >> 8;
}

void color_cmyk_row(uint8_t *rgb, const uint8_t *cmyk, size_t n, const struct color_cmyk *c)
{
    unsigned flip = c->inverted ? 0 : 255;
    if (c->transform) {
        cmsDoTransform(c->transform, cmyk, rgb, (cmsUInt32Number)n);
        return;
    }
    for (size_t i = 0; i < n; i++, rgb += 3, cmyk += 4)
        for (int k = 0; k < 3; k++) {
            unsigned white = cmyk[3] ^ flip, ink = mul_255(255u - (cmyk[k] ^ flip), white);
            rgb[k] = (uint8_t)(white > ink ? white - ink : 0);
        }
}
