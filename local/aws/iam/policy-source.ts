/** Where the evaluator finds the policies of the synthesised template, every intrinsic already resolved. */

/** An IAM policy document as in a template, after `Ref`, `Fn::GetAtt`, `Fn::Join` and `Fn::Sub`. */
export type PolicyDocument = {
  Version?: string;
  Id?: string;
  Statement: readonly PolicyStatement[] | PolicyStatement;
};

export type PolicyStatement = Readonly<Record<string, unknown>>;

export type RolePolicies = {
  /** AssumeRolePolicyDocument. */
  trust: PolicyDocument;
  /** Inline policies, AWS::IAM::Policy resources attached to the role, and the documents of managed policies, in any order. */
  inline: readonly PolicyDocument[];
  permissionsBoundary?: PolicyDocument;
  /** MaxSessionDuration in seconds; 3600 when absent. */
  maxSessionDuration?: number;
};

export type PolicySource = {
  /** The role's policies; undefined: there is no such role. The answer for one ARN must not change while the endpoint runs. */
  rolePolicies(roleArn: string): RolePolicies | undefined;
  /** Bucket policy (by `arn:aws:s3:::name`), key policy, secret or table policy, by the resource's ARN. */
  resourcePolicy(resourceArn: string): PolicyDocument | undefined;
};
