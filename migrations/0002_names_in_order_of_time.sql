-- Names that are UUIDs of version 7 are kept in the order of their time: the first 48 bits of `arn_key` are the name's, the last 16 the
-- digest's as before (`src/store/sqlite/executions.rs:arn_key`). Until now all 64 were the digest's.
UPDATE headers
SET arn_key = (arn_key & 65535)
    | ((instr('0123456789abcdef', substr(lower(arn), -36, 1)) - 1) << 60)
    | ((instr('0123456789abcdef', substr(lower(arn), -35, 1)) - 1) << 56)
    | ((instr('0123456789abcdef', substr(lower(arn), -34, 1)) - 1) << 52)
    | ((instr('0123456789abcdef', substr(lower(arn), -33, 1)) - 1) << 48)
    | ((instr('0123456789abcdef', substr(lower(arn), -32, 1)) - 1) << 44)
    | ((instr('0123456789abcdef', substr(lower(arn), -31, 1)) - 1) << 40)
    | ((instr('0123456789abcdef', substr(lower(arn), -30, 1)) - 1) << 36)
    | ((instr('0123456789abcdef', substr(lower(arn), -29, 1)) - 1) << 32)
    | ((instr('0123456789abcdef', substr(lower(arn), -27, 1)) - 1) << 28)
    | ((instr('0123456789abcdef', substr(lower(arn), -26, 1)) - 1) << 24)
    | ((instr('0123456789abcdef', substr(lower(arn), -25, 1)) - 1) << 20)
    | ((instr('0123456789abcdef', substr(lower(arn), -24, 1)) - 1) << 16)
WHERE arn GLOB '*:[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]-[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]-7[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]-[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]-[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]';
