/* "Beta Sampling is All You Need" (Lee et al. 2024): levels at quantiles of Beta(0.6, 0.6). */
#include "sampler/schedule.h"
#include <math.h>

/* Continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz. */
static double fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 300; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + even * d, c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d), c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        d = 1 + odd * d, c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d), c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return h;
}

static double cdf(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x >= 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a
                                     : 1 - front * fraction(b, a, 1 - x) / b;
}

static double quantile(double a, double b, double p)
{
    double low = 0, high = 1;
    for (int i = 0; i < 200 && high - low > 1e-16 * high; i++) {
        double mid = (low + high) / 2;
        *(cdf(a, b, mid) < p ? &low : &high) = mid;
    }
    return (low + high) / 2;
}

static double level(const struct schedule_range *r, int i, int n)
{
    return r->low + quantile(0.6, 0.6, 1 - schedule_ramp(i, n)) * (r->high - r->low);
}

const struct schedule schedule_beta = {.name = "beta", .aliases = "", .level = level};
