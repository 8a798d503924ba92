/**
 * Metadata of a function in the template that asks hosts outside of its deployment. Nothing in AWS reads it; the laptop
 * stack runs no such function by itself. A file of its own, so that who reads templates need not load the CDK.
 */
export const reachesInternet = 'cattery:reaches-internet';
